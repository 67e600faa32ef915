// Exchanging lanes between vectors: square transposes, and the sums of many vectors at once.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_TRANSPOSE_INL
#define INGOT_CPU_TRANSPOSE_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

template <int... kNumbers>
struct LaneList {};

template <int kCount, int... kNumbers>
struct MakeLaneList : MakeLaneList<kCount - 1, kCount - 1, kNumbers...> {};
template <int... kNumbers>
struct MakeLaneList<0, kNumbers...> {
  typedef LaneList<kNumbers...> Type;
};
typedef MakeLaneList<kLanes>::Type AllLanes;

/// Lanes whose number has bit kBit clear come from `a`, the others from `b` at the lane kBit below.
template <int kBit, int... kLane>
inline Floats lower_halves(Floats a, Floats b, LaneList<kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kBit) == 0 ? kLane : kLanes + (kLane ^ kBit))...);
}

/// Lanes whose number has bit kBit clear come from `a` at the lane kBit above, the others from `b`.
template <int kBit, int... kLane>
inline Floats upper_halves(Floats a, Floats b, LaneList<kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kBit) == 0 ? (kLane ^ kBit) : kLanes + kLane)...);
}

/// v[i][j] becomes v[j][i]: per bit of the numbers, blocks across the diagonal change places.
template <int kBit = kLanes / 2>
inline void transpose(Floats (&v)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kBit) != 0) continue;
    const Floats a = v[i];
    const Floats b = v[i + kBit];
    v[i] = lower_halves<kBit>(a, b, AllLanes{});
    v[i + kBit] = upper_halves<kBit>(a, b, AllLanes{});
  }
  if constexpr (kBit > 1) transpose<kBit / 2>(v);
}

/// Lane i: the sum of v[i]'s lanes, halves added until one is left. Three operations per vector,
/// where adding up one vector alone takes eight.
template <int kBit = kLanes / 2>
inline Floats sum_each(const Floats* v) {
  if constexpr (kBit == 0) {
    return v[0];
  } else {
    Floats sums[kBit];
    for (int i = 0; i < kBit; ++i) {
      sums[i] = lower_halves<kBit>(v[i], v[i + kBit], AllLanes{}) +
                upper_halves<kBit>(v[i], v[i + kBit], AllLanes{});
    }
    return sum_each<kBit / 2>(sums);
  }
}

/// Lane i becomes v[i ^ kBit].
template <int kBit, class Vector, int... kLane>
inline Vector exchanged(Vector v, LaneList<kLane...>) {
  return __builtin_shufflevector(v, v, (kLane ^ kBit)...);
}

/// The sum of the lanes, in the order of sum_each.
template <int kBit = kLanes / 2, class Vector>
inline auto sum_lanes(Vector v) {
  v += exchanged<kBit>(v, AllLanes{});
  if constexpr (kBit > 1) {
    return sum_lanes<kBit / 2>(v);
  } else {
    return v[0];
  }
}

/// The largest lane, as `larger` chooses.
template <int kBit = kLanes / 2, class Vector>
inline auto largest_lane(Vector v) {
  v = larger(v, exchanged<kBit>(v, AllLanes{}));
  if constexpr (kBit > 1) {
    return largest_lane<kBit / 2>(v);
  } else {
    return v[0];
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_TRANSPOSE_INL
