// How far one element of a product of activations and stored weights may be from exact arithmetic
// on the same inputs (docs/numerics.md): shared by MatMul and ExpertMatMul.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/choose.hpp"
#include "ingot/quant/formats.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {

// What one column of a weight row is made of. For x = scale * q - min the size of what is
// multiplied and summed, |scale * q| + |min|, and the scale; for types without a grid |w| and 0.
struct Column {
  double size = 0;
  double scale = 0;
};

inline std::vector<Column> columns_of(DType type, const std::vector<std::byte>& bytes,
                                      const std::vector<float>& decoded) {
  std::vector<Column> out(decoded.size());
  quant::visit_format(type, [&](auto format) {
    using Format = decltype(format);
    if constexpr (Format::kIntegerGrid) {
      for (std::size_t g = 0; g < decoded.size() / 32; ++g) {
        typename Format::Block block;
        constexpr std::size_t kGroups = Format::kBlockSize / 32;
        std::memcpy(&block, bytes.data() + g / kGroups * sizeof block, sizeof block);
        quant::Lanes32 lanes;
        Format::lanes(block, static_cast<int>(g % kGroups), lanes);
        for (std::size_t i = 0; i < 32; ++i) {
          const double scale = std::abs(static_cast<double>(lanes.scale[i / 16]));
          out[32 * g + i] = {
              scale * std::abs(lanes.q[i]) + std::abs(static_cast<double>(lanes.min[i / 16])),
              scale};
        }
      }
    } else {
      for (std::size_t i = 0; i < decoded.size(); ++i) out[i] = {std::abs(decoded[i]), 0};
    }
  });
  return out;
}

inline double largest_of(std::span<const float> x) {
  double largest = 0;
  for (const float v : x) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return largest;
}

// What 32 columns add to a sum of integer products: one term per scale, and one for the mins.
inline double terms_per_group(DType type) {
  return quant::visit_format(type, [](auto format) {
    using Format = decltype(format);
    if constexpr (Format::kIntegerGrid) {
      return 32.0 / Format::kScaleSpan + (Format::kHasMin ? 1 : 0);
    } else {
      return 0.0;
    }
  });
}

// docs/numerics.md, per path of the CPU. `x` is an activation row, `w` the decoded weights.
inline double error_of(DType type, const internal::cpu::Path& path, std::span<const float> x,
                       const std::vector<float>& w, const std::vector<Column>& columns) {
  const auto count = static_cast<double>(x.size());
  const bool is_of_integers = path.form == &internal::cpu::forms::integers ||
                              path.form == &internal::cpu::forms::integers_in_order;
  const bool is_of_tiles = path.form == &internal::cpu::forms::tiles;
  // Quantized activations are off by half a step of their block, and a little for the roundings of
  // x * largest / (largest magnitude) and of the scale.
  const double half_step = 0.5 + std::pow(2.0, -7);
  double rounding = 0;
  double sum = 0;  // of the magnitudes that are added up
  for (std::size_t b = 0; b < x.size(); b += 32) {
    const auto block = x.subspan(b, std::min<std::size_t>(32, x.size() - b));
    const double step = largest_of(block) / internal::cpu::kLargestActivation * half_step;
    for (std::size_t i = 0; i < block.size(); ++i) {
      const Column& column = columns[b + i];
      const double magnitude = std::abs(static_cast<double>(block[i]));
      const double weight = std::abs(static_cast<double>(w[b + i]));
      sum += magnitude * column.size;
      if (is_of_integers) {
        rounding += step * weight;
        sum += step * column.size;
      } else if (is_of_tiles) {
        // Both factors to bf16; the weight by way of (base + code) * scale in f32.
        rounding += magnitude * weight * (std::pow(2.0, -8) + std::pow(2.0, -18)) +
                    magnitude * kUnit * 640 * column.scale;
      }
    }
  }
  // Roundings that one product goes through on its way into the sum:
  //   quantized: the terms of K / 32 groups follow each other; an integer sum's conversion, its
  //              scale, the sum of two mins, the lanes and the bias add 9;
  //   tiles:     every sum of pairs, at worst one after the other;
  //   f32:       K / 4 at most within a panel of 512 columns, panels one after the other, and 8 for
  //              product, lanes, remainder and bias.
  double roundings = std::min(count, 512.0) / 4 + count / 512 + 8;
  if (is_of_integers) {
    roundings = count / 32 * terms_per_group(type) + 9;
  }
  if (is_of_tiles) roundings = count + 2;
  return rounding + roundings * kUnit * sum;
}

/// A weight row as the bound needs it.
struct WeightRow {
  std::vector<float> decoded;
  std::vector<Column> columns;
};

inline WeightRow weight_row_for_bound(const OpCase& c, const WeightOperand& weight,
                                      std::int64_t row) {
  WeightRow out;
  out.decoded = c.weight_row(weight, row);
  out.columns =
      columns_of(c.program().tensor(weight.tensor).type, c.weight_bytes(weight, row), out.decoded);
  return out;
}

/// The bound of one element: x times a weight row, among `rows` rows multiplied together.
inline double product_bound(DType type, std::int64_t rows, std::span<const float> x,
                            const WeightRow& weight, double expected,
                            const internal::cpu::Numerics& numerics = {}) {
  const internal::cpu::KernelTable& table = internal::cpu::select_target();
  const internal::cpu::Path& path =
      internal::cpu::choose_product(table, numerics, table.format(type)).of(rows);
  // The decoded weight's own rounding (scale * q - min, once) and the reference's to f32.
  return error_of(type, path, x, weight.decoded, weight.columns) + 2 * kUnit * std::abs(expected);
}

}  // namespace ingot::test
