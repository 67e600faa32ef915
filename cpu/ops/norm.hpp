// Arguments of the Norm loops (norm.inl).
#pragma once

#include <cstdint>

#include "src/ops/norm.hpp"

namespace ingot::internal::cpu {

/// One group of columns of one row.
struct NormGroup {
  ops::NormKind kind = ops::NormKind::rms;
  const float* in = nullptr;  ///< [size]
  float* out = nullptr;       ///< [size]
  std::int64_t size = 0;
  const float* weight = nullptr;  ///< [size] or null
  const float* bias = nullptr;    ///< [size] or null
  double epsilon = 0;
};

}  // namespace ingot::internal::cpu
