// The rotation of src/state/row_rotation.hpp, for queries and for weighted sums of values.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"
#include "src/state/row_rotation.hpp"

#ifndef INGOT_CPU_ROTATION_INL
#define INGOT_CPU_ROTATION_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Each element's sign before the transform, times the transform's factor.
struct Signs {
  float of[kRotationSize];
};
constexpr Signs make_signs() {
  Signs out{};
  for (int i = 0; i < kRotationSize; ++i) {
    out.of[i] = (kRotationSigns >> i & 1U) != 0 ? -kRotationNorm : kRotationNorm;
  }
  return out;
}
inline constexpr Signs kSigns = make_signs();

/// One stage of the transform within vectors: lanes whose numbers differ in bit kBit become their
/// sum and difference.
template <int kBit, int... kLane>
inline Floats sum_and_difference(Floats v, LaneList<kLane...>) {
  const Floats signs = {((kLane & kBit) == 0 ? 1.0F : -1.0F)...};
  return exchanged<kBit>(v, AllLanes{}) + v * signs;
}

template <int kBit>
inline Floats transform_lanes(Floats v) {
  v = sum_and_difference<kBit>(v, AllLanes{});
  if constexpr (kBit > 1) {
    return transform_lanes<kBit / 2>(v);
  } else {
    return v;
  }
}

/// One block, in place.
template <bool kBack>
inline void rotate_block(float* x) {
  constexpr int kVectors = kRotationSize / kLanes;
  Floats v[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    v[i] = load(x + i * kLanes);
    if (!kBack) v[i] *= load(kSigns.of + i * kLanes);
  }
  for (int half = kVectors / 2; half > 0; half /= 2) {
    for (int i = 0; i < kVectors; ++i) {
      if ((i & half) != 0) continue;
      const Floats a = v[i];
      const Floats b = v[i + half];
      v[i] = a + b;
      v[i + half] = a - b;
    }
  }
  for (int i = 0; i < kVectors; ++i) {
    v[i] = transform_lanes<kLanes / 2>(v[i]);
    if (kBack) v[i] *= load(kSigns.of + i * kLanes);
    store(x + i * kLanes, v[i]);
  }
}

/// A row of `size` elements, a multiple of 32, in place.
inline void rotate(float* x, std::int64_t size) {
  for (std::int64_t i = 0; i < size; i += kRotationSize) rotate_block<false>(x + i);
}
inline void unrotate(float* x, std::int64_t size) {
  for (std::int64_t i = 0; i < size; i += kRotationSize) rotate_block<true>(x + i);
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ROTATION_INL
