// The rotation of src/state/row_rotation.hpp, for queries and for weighted sums of values.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "src/state/row_rotation.hpp"

#ifndef INGOT_CPU_ROTATION_INL
#define INGOT_CPU_ROTATION_INL

namespace ingot::cpu::INGOT_CPU_TARGET {

/// [i][j]: the orthonormal Walsh-Hadamard matrix (symmetric), and the signs before it.
struct Rotation {
  float matrix[kRotationSize][kRotationSize];
  float signs[kRotationSize];
};

constexpr Rotation make_rotation() {
  Rotation out{};
  for (int i = 0; i < kRotationSize; ++i) {
    out.signs[i] = (kRotationSigns >> i & 1U) != 0 ? -1.0F : 1.0F;
    for (int j = 0; j < kRotationSize; ++j) {
      int common = i & j;  // the sign is the parity of its bits
      common ^= common >> 4;
      common ^= common >> 2;
      common ^= common >> 1;
      out.matrix[i][j] = (common & 1) != 0 ? -kRotationNorm : kRotationNorm;
    }
  }
  return out;
}
inline constexpr Rotation kRotation = make_rotation();

/// One block, in place: 32 products per element keep to whole vectors, where the fast transform's
/// first stages would shuffle lanes; at a few blocks per head either is lost in the cache's
/// traffic.
template <bool kBack>
inline void rotate_block(float* x) {
  constexpr int kVectors = kRotationSize / kLanes;
  Floats sums[kVectors] = {};
  for (int i = 0; i < kRotationSize; ++i) {
    const float factor = kBack ? x[i] : x[i] * kRotation.signs[i];
    for (int v = 0; v < kVectors; ++v) {
      sums[v] += load(kRotation.matrix[i] + v * kLanes) * factor;
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    store(x + v * kLanes, kBack ? sums[v] * load(kRotation.signs + v * kLanes) : sums[v]);
  }
}

/// A row of `size` elements, a multiple of 32, in place.
inline void rotate(float* x, std::int64_t size) {
  for (std::int64_t i = 0; i < size; i += kRotationSize) rotate_block<false>(x + i);
}
inline void unrotate(float* x, std::int64_t size) {
  for (std::int64_t i = 0; i < size; i += kRotationSize) rotate_block<true>(x + i);
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ROTATION_INL
