// Arguments of the LatentAttention loop (latent_attention.inl).
#pragma once

#include <cstdint>

#include "cpu/ops/matmul.hpp"

namespace ingot::cpu {

/// Weight rows that are decoded together: 16 x 512 f32 are 32 KiB and stay in the first-level
/// cache.
inline constexpr std::int64_t kHeadPanelRows = 16;

/// Rows of activations times the weight of one head, decoded to f32.
struct HeadProduct {
  WeightRows weight;
  /// false: out = in weight^T, `in` has weight.columns columns and `out` weight.rows;
  /// true: out = in weight, the other way round.
  bool by_columns = false;
  const float* in = nullptr;
  std::int64_t in_stride = 0;
  std::int64_t rows = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* panel = nullptr;  ///< head_panel_floats(weight.columns) of the worker
};

constexpr std::int64_t head_panel_stride(std::int64_t columns) {
  return (columns + 15) / 16 * 16;
}
constexpr std::int64_t head_panel_floats(std::int64_t columns) {
  return kHeadPanelRows * head_panel_stride(columns);
}

}  // namespace ingot::cpu
