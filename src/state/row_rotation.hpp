// The rotation that rows of quantized caches are stored under: blocks of 32 elements, signs flipped
// by a fixed pattern, then an orthonormal Walsh-Hadamard transform.
//
// A block has one scale, set by its largest element, so one outlier (keys of trained models have
// channels ten times the others) costs all 32 their bits. Rotated, it is shared out evenly. Lengths
// and scalar products stay as they are, so attention may rotate its queries instead of the keys,
// and rotate its weighted sums back instead of the values. (Rotating before quantizing: Ashkboos et
// al., "QuaRot", 2024.)
#pragma once

#include <cstdint>

#include "ingot/dtype.hpp"

namespace ingot::internal {

/// Elements that are rotated together: a block of every rotated type.
inline constexpr int kRotationSize = 32;

/// Bit i: element i changes its sign before the transform (and after it, on the way back). The
/// quadratic form i0 i1 + i2 i3 of i's bits: an unsigned transform would gather a block of equal
/// elements into one large one, with these signs they end up in 16 equal ones.
constexpr std::uint32_t rotation_signs() {
  std::uint32_t signs = 0;
  for (std::uint32_t i = 0; i < kRotationSize; ++i) {
    const std::uint32_t form = ((i & (i >> 1)) ^ ((i >> 2) & (i >> 3))) & 1U;
    signs |= form << i;
  }
  return signs;
}
inline constexpr std::uint32_t kRotationSigns = rotation_signs();

/// 1 / sqrt(32): makes the transform its own inverse.
inline constexpr float kRotationNorm = 0.17677669529663687F;

/// Whether cache rows of the type are stored rotated.
constexpr bool is_rotated(DType type) {
  return type == DType::Q8_0 || type == DType::Q4_0;
}

}  // namespace ingot::internal
