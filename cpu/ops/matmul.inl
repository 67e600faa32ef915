// MatMul's loops; no format is named here.
#include "cpu/ops/activations.inl"
#include "cpu/ops/dot_tile.inl"
#include "cpu/ops/matmul.hpp"
#include "cpu/quant/decode.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// The sums of one group's products (kParts vectors of 16 bits hold its 32 columns), each half of
/// 16 columns times its own scale.
inline Floats group_products(const Shorts (&weights)[kParts], const std::int16_t* q,
                             const float (&scales)[2], float scale) {
  if constexpr (kParts == 1) {
    const Ints products = multiply_add_pairs(weights[0], load_activations(q, 0));
    return to_floats(products) * (halves(scales[0], scales[1]) * scale);
  } else {
    Floats total = {};
    for (int half = 0; half < 2; ++half) {
      Ints products = {};
      for (int p = half * kParts / 2; p < (half + 1) * kParts / 2; ++p) {
        products += multiply_add_pairs(weights[p], load_activations(q, p));
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
    Shorts weights[kParts];
    load_weights(w.q, weights);
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t at = group + g;
      const float scale = in[m].scales()[at];
      sums[m] += group_products(weights, in[m].q() + 32 * at, w.scale, scale);
      if constexpr (kHasMin) {
        const std::int32_t* s = in[m].sums() + 2 * at;
        mins[m] +=
            (w.min[0] * static_cast<float>(s[0]) + w.min[1] * static_cast<float>(s[1])) * scale;
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
      decode_columns(task.weight, n, k, columns, task.panel + n * kPanelColumns);
    }
    const bool is_first = k == 0;
    dot_all_rows([&](std::int64_t m) { return task.in.row(task.first_row + m) + k; }, task.rows,
                 task.panel, kPanelColumns, task.weight.rows, columns,
                 [&](std::int64_t m, std::int64_t n, float value) {
                   float& out = task.out[m * task.out_stride + n];
                   if (!is_first) {
                     out += value;
                   } else {
                     out = task.bias != nullptr ? value + task.bias[n] : value;
                   }
                 });
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
