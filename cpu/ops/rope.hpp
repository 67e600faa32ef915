// Arguments of the Rope loops (rope.inl).
#pragma once

#include <cstdint>

#include "src/ops/rope.hpp"

namespace ingot::internal::cpu {

/// All heads of one row.
struct RopeHeads {
  const float* in = nullptr;
  float* out = nullptr;
  std::int64_t heads = 0;
  std::int64_t head_size = 0;
  std::int64_t rotary_size = 0;
  std::int64_t rotary_offset = 0;
  ops::RopeLayout layout = ops::RopeLayout::norm;
  const float* angles = nullptr;  ///< [rotary_size / 2, {cos, sin}] of the row's position
};

}  // namespace ingot::internal::cpu
