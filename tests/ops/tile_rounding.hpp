// What attention on matrix units rounds besides, as docs/numerics.md says.
#pragma once

#include <cmath>

#include "cpu/dispatch/dispatch.hpp"
#include "ingot/device.hpp"

namespace ingot::test {

// A weight is one bf16. Queries, keys and values are too where both types are q4_0, else each is a
// sum of two, and the product of the rests is left out. Shares of what is rounded; all zero for f32
// caches and other targets.
struct TileRounding {
  double scores = 0;   ///< of |q| |k| scale
  double weights = 0;  ///< of a weight, and of the sum it is divided by; none of a power of two
  double values = 0;   ///< of the largest value
};
inline TileRounding tile_rounding(DType key, DType value, Precision precision = Precision::fast) {
  if (precision == Precision::f32) return {};
  if (internal::cpu::select_target().name != "amx") return {};
  if (key == DType::F32 || value == DType::F32) return {};
  const double one = std::pow(2.0, -9);
  if (key == DType::Q4_0 && value == DType::Q4_0) return {2 * one + one * one, one, one};
  const double two = std::pow(2.0, -18);
  return {3 * two, one, two};
}

}  // namespace ingot::test
