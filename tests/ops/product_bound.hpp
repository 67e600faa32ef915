// How far one element of a product of activations and stored weights may be from exact arithmetic
// on the same inputs (docs/numerics.md): shared by MatMul and ExpertMatMul.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "ingot/quant/formats.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {

// |scale * q| + |min| of each column: what is multiplied and summed where x = scale * q - min. For
// types without a grid, |w|.
inline std::vector<double> magnitudes(DType type, const std::vector<std::byte>& bytes,
                                      const std::vector<float>& decoded) {
  std::vector<double> out(decoded.size());
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
          out[32 * g + i] = std::abs(static_cast<double>(lanes.scale[i / 16]) * lanes.q[i]) +
                            std::abs(static_cast<double>(lanes.min[i / 16]));
        }
      }
    } else {
      for (std::size_t i = 0; i < decoded.size(); ++i) out[i] = std::abs(decoded[i]);
    }
  });
  return out;
}

// Where docs/numerics.md says that activations are rounded to 8 bits.
inline bool rounds_activations(DType type, std::int64_t rows) {
  const bool is_grid =
      quant::visit_format(type, [](auto format) { return decltype(format)::kIntegerGrid; });
  return is_grid && rows <= 8;
}

// Half a step of each activation's block of 32 (and 2^-15 of a step for the roundings of x * 127 /
// largest), times the weight.
inline double rounding_of_activations(std::span<const float> x, const std::vector<float>& w) {
  double sum = 0;
  for (std::size_t b = 0; b < x.size(); b += 32) {
    double largest = 0;
    double weights = 0;
    for (std::size_t i = b; i < b + 32; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(x[i])));
      weights += std::abs(static_cast<double>(w[i]));
    }
    sum += largest / 127 * (0.5 + std::pow(2.0, -15)) * weights;
  }
  return sum;
}

// Roundings that one product goes through on its way into the sum, times 2^-24 of all products'
// magnitudes.
//   integers: K / 32 groups follow each other; a group's two halves, its scale, the lanes, the mins
//             and the bias add 8;
//   f32:      K / 4 at most within a panel of 512 columns, panels one after the other, and 8 for
//             product, lanes, remainder and bias.
inline double accumulation(bool integers, std::span<const float> x,
                           const std::vector<double>& magnitude) {
  double sum = 0;
  double largest = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (k % 32 == 0) {
      largest = 0;
      for (std::size_t i = k; i < std::min(k + 32, x.size()); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(x[i])));
      }
    }
    const double half_step = integers ? largest / 254 : 0.0;
    sum += (std::abs(static_cast<double>(x[k])) + half_step) * magnitude[k];
  }
  const auto columns = static_cast<double>(x.size());
  const double roundings =
      integers ? columns / 32 + 8 : std::min(columns, 512.0) / 4 + columns / 512 + 8;
  return roundings * kUnit * sum;
}

/// A weight row as the bound needs it.
struct WeightRow {
  std::vector<float> decoded;
  std::vector<double> magnitude;
};

inline WeightRow weight_row_for_bound(const OpCase& c, const WeightOperand& weight,
                                      std::int64_t row) {
  WeightRow out;
  out.decoded = c.weight_row(weight, row);
  out.magnitude =
      magnitudes(c.program().tensor(weight.tensor).type, c.weight_bytes(weight, row), out.decoded);
  return out;
}

/// The bound of one element: x times a weight row, among `rows` rows multiplied together.
inline double product_bound(DType type, std::int64_t rows, std::span<const float> x,
                            const WeightRow& weight, double expected) {
  const bool integers = rounds_activations(type, rows);
  // The decoded weight's own rounding (scale * q - min, once) and the reference's to f32.
  return (integers ? rounding_of_activations(x, weight.decoded) : 0.0) +
         accumulation(integers, x, weight.magnitude) + 2 * kUnit * std::abs(expected);
}

}  // namespace ingot::test
