// MatMul's loops; no format is named here.
#include "cpu/ops/dot_tile.inl"
#include "cpu/ops/matmul.hpp"
#include "cpu/quant/seam.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::cpu::INGOT_CPU_TARGET {

/// scale = largest magnitude / 127, q = round(x / scale), ties to even, clamped to +-127. A block
/// with an infinity or NaN gets scale NaN, so that the fault reaches the output; a block below
/// 2^-119 counts as zero, because 127 / x would overflow soon after.
inline void quantize_row(const QuantizeRow& task) {
  constexpr std::int32_t kInfinity = 0x7f800000;
  constexpr std::int32_t kTiny = (127 - 119) << 23;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23
  constexpr std::int32_t kRounderBits = 0x4b400000;
  for (std::int64_t b = 0; b * kActivationBlock < task.columns; ++b) {
    const float* x = task.in + b * kActivationBlock;
    std::int16_t* q = task.out.q + b * kActivationBlock;
    std::int32_t largest_bits = 0;  // of floats without sign, integers order as the floats do
    for (int i = 0; i < kActivationBlock; ++i) {
      const std::int32_t bits = __builtin_bit_cast(std::int32_t, x[i]) & 0x7fffffff;
      largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    const float largest = __builtin_bit_cast(float, largest_bits);
    const bool usable = largest_bits < kInfinity && largest_bits >= kTiny;
    const float inverse = usable ? 127.0F / largest : 0.0F;
    const float poison = __builtin_nanf("");
    task.out.scales[b] = usable ? largest / 127.0F : largest_bits >= kInfinity ? poison : 0.0F;
    for (int half = 0; half < 2; ++half) {
      std::int32_t total = 0;
      for (int i = 16 * half; i < 16 * half + 16; ++i) {
        float scaled = usable ? x[i] * inverse : 0.0F;
        scaled = scaled > 127.0F ? 127.0F : scaled;
        scaled = scaled < -127.0F ? -127.0F : scaled;
        const std::int32_t rounded =
            __builtin_bit_cast(std::int32_t, scaled + kRounder) - kRounderBits;
        q[i] = static_cast<std::int16_t>(rounded);
        total += rounded;
      }
      task.out.sums[2 * b + half] = static_cast<float>(total);
    }
  }
}

/// The sums of one group's products, each half of 16 columns times its own scale.
inline Floats group_products(const Shorts (&weights)[64 / kVectorBytes], const std::int16_t* q,
                             const float (&scales)[2], float scale) {
  constexpr int kParts = 64 / kVectorBytes;  // vectors that hold the 32 columns
  if constexpr (kParts == 1) {
    const Ints products = multiply_add_pairs(weights[0], load_shorts(q));
    return to_floats(products) * (halves(scales[0], scales[1]) * scale);
  } else {
    Floats total = {};
    for (int half = 0; half < 2; ++half) {
      Ints products = {};
      for (int p = half * kParts / 2; p < (half + 1) * kParts / 2; ++p) {
        products += multiply_add_pairs(weights[p], load_shorts(q + p * kVectorBytes / 2));
      }
      total += to_floats(products) * (scales[half] * scale);
    }
    return total;
  }
}

// One weight row against kRows activation rows, over `count` groups of 32 columns from `group`.
template <int kRows, bool kHasMin>
inline void add_groups(const quant::Lanes32* lanes, std::int64_t group, std::int64_t count,
                       const QuantizedRow* in, Floats (&sums)[kRows], float (&mins)[kRows]) {
  for (std::int64_t g = 0; g < count; ++g) {
    const quant::Lanes32& w = lanes[g];
    constexpr int kParts = 64 / kVectorBytes;  // vectors that hold the 32 columns
    Shorts weights[kParts];
    for (int p = 0; p < kParts; ++p) weights[p] = load_bytes(w.q + p * kVectorBytes / 2);
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t at = group + g;
      const float scale = in[m].scales[at];
      sums[m] += group_products(weights, in[m].q + 32 * at, w.scale, scale);
      if constexpr (kHasMin) {
        const float* s = in[m].sums + 2 * at;
        mins[m] += (w.min[0] * s[0] + w.min[1] * s[1]) * scale;
      }
    }
  }
}

template <int kRows, bool kHasMin>
inline void few_rows(const FewRows& task) {
  // Lanes of 1,024 columns are 1.5 KiB: decoded and used without leaving the first-level cache.
  constexpr std::int64_t kGroups = 32;
  quant::Lanes32 lanes[kGroups];
  const std::int64_t groups = task.weight.columns / 32;
  for (std::int64_t n = 0; n < task.weight.rows; ++n) {
    const std::byte* row = task.weight.first + n * task.weight.row_bytes;
    Floats sums[kRows] = {};
    float mins[kRows] = {};
    for (std::int64_t g = 0; g < groups; g += kGroups) {
      const std::int64_t count = groups - g < kGroups ? groups - g : kGroups;
      task.weight.format->lanes(row, g, count, lanes);
      add_groups<kRows, kHasMin>(lanes, g, count, task.in, sums, mins);
    }
    for (int m = 0; m < kRows; ++m) {
      const float bias = task.bias != nullptr ? task.bias[n] : 0.0F;
      task.out[m * task.out_stride + n] = (sum(sums[m]) - mins[m]) + bias;
    }
  }
}

template <bool kHasMin>
inline void few_rows_switch(const FewRows& task) {
  switch (task.rows) {
    case 1: return few_rows<1, kHasMin>(task);
    case 2: return few_rows<2, kHasMin>(task);
    case 3: return few_rows<3, kHasMin>(task);
    case 4: return few_rows<4, kHasMin>(task);
    case 5: return few_rows<5, kHasMin>(task);
    case 6: return few_rows<6, kHasMin>(task);
    case 7: return few_rows<7, kHasMin>(task);
    case 8: return few_rows<8, kHasMin>(task);
    default: return;
  }
}

inline void multiply_few_rows(const FewRows& task) {
  static_assert(kFewRows == 8);
  if (task.weight.format->has_min) {
    few_rows_switch<true>(task);
  } else {
    few_rows_switch<false>(task);
  }
}

/// The columns are taken in panels; each panel's sums are added to the output in order.
inline void multiply_many_rows(const ManyRows& task) {
  for (std::int64_t k = 0; k < task.weight.columns; k += kPanelColumns) {
    const std::int64_t left = task.weight.columns - k;
    const std::int64_t columns = left < kPanelColumns ? left : kPanelColumns;
    for (std::int64_t n = 0; n < task.weight.rows; ++n) {
      task.weight.format->panel(
          task.weight.first + n * task.weight.row_bytes + bytes_of(*task.weight.format, k), columns,
          task.panel + n * kPanelColumns);
    }
    const bool is_first = k == 0;
    dot_all(task.in + k, task.in_stride, task.rows, task.panel, kPanelColumns, task.weight.rows,
            columns, [&](std::int64_t m, std::int64_t n, float value) {
              float& out = task.out[m * task.out_stride + n];
              if (!is_first) {
                out += value;
              } else {
                out = task.bias != nullptr ? value + task.bias[n] : value;
              }
            });
  }
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET
