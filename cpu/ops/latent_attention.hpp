// Arguments of the LatentAttention loops (latent_attention.inl, packed_columns.inl).
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/ops/matmul.hpp"

namespace ingot::internal::cpu {

/// Rows of activations times a transposed weight: `in` has weight.rows columns, `out`
/// weight.columns. Rows of the weight are all interleaved or none.
struct TransposedProduct {
  WeightRows weight;
  const float* in = nullptr;
  std::int64_t in_stride = 0;
  std::int64_t rows = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* work = nullptr;  ///< transposed_work_floats(weight.columns) of the worker
};

/// Rows in the file's order that are decoded together: 16 x 512 f32 are 32 KiB and stay in the
/// first-level cache.
inline constexpr std::int64_t kTransposedPanelRows = 16;

constexpr std::int64_t transposed_panel_stride(std::int64_t columns) {
  return (columns + 15) / 16 * 16;
}

/// Sums of interleaved weights, one per lane: half of the first-level cache.
inline constexpr std::int64_t kColumnSums = 4096;

constexpr std::int64_t transposed_work_floats(std::int64_t columns) {
  return std::max(kTransposedPanelRows * transposed_panel_stride(columns), kColumnSums);
}

}  // namespace ingot::internal::cpu
