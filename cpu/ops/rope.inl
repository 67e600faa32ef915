// Rope's loops. The output may be the input.
#include "cpu/ops/rope.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#ifndef INGOT_CPU_ROPE_INL
#define INGOT_CPU_ROPE_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Lanes kFirst, kFirst + 2, ... of `a`, then of `b`.
template <int kFirst, int... kLane>
inline Floats every_other(Floats a, Floats b, LaneList<kLane...>) {
  return __builtin_shufflevector(a, b, (2 * kLane + kFirst)...);
}

/// Lane i: that of its pair of neighbours whose number is odd where kOdd, even otherwise.
template <int kOdd, int... kLane>
inline Floats of_pair(Floats v, LaneList<kLane...>) {
  return __builtin_shufflevector(v, v, (kLane / 2 * 2 + kOdd)...);
}

/// -1 in even lanes, 1 in odd ones.
template <int... kLane>
inline Floats signs_of_pair(LaneList<kLane...>) {
  return Floats{(kLane % 2 == 0 ? -1.0F : 1.0F)...};
}

inline void rotate_pair(const float* x, float* y, const float* angle, std::int64_t to_second) {
  const float a = x[0];
  const float b = x[to_second];
  y[0] = a * angle[0] - b * angle[1];
  y[to_second] = a * angle[1] + b * angle[0];
}

/// Pairs (x[i], x[pairs + i]).
inline void rotate_halves(const float* x, float* y, const float* angles, std::int64_t pairs) {
  std::int64_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const Floats low = load(angles + 2 * i);
    const Floats high = load(angles + 2 * i + kLanes);
    const Floats c = every_other<0>(low, high, AllLanes{});
    const Floats s = every_other<1>(low, high, AllLanes{});
    const Floats a = load(x + i);
    const Floats b = load(x + pairs + i);
    store(y + i, a * c - b * s);
    store(y + pairs + i, a * s + b * c);
  }
  for (; i < pairs; ++i) rotate_pair(x + i, y + i, angles + 2 * i, pairs);
}

/// Pairs (x[2 i], x[2 i + 1]).
inline void rotate_neighbours(const float* x, float* y, const float* angles, std::int64_t pairs) {
  std::int64_t i = 0;
  for (; i + kLanes <= 2 * pairs; i += kLanes) {
    const Floats angle = load(angles + i);
    const Floats c = of_pair<0>(angle, AllLanes{});
    const Floats s = of_pair<1>(angle, AllLanes{}) * signs_of_pair(AllLanes{});
    const Floats v = load(x + i);
    store(y + i, v * c + exchanged<1>(v, AllLanes{}) * s);
  }
  for (; i < 2 * pairs; i += 2) rotate_pair(x + i, y + i, angles + i, 1);
}

inline void rotate(const RopeHeads& task) {
  const std::int64_t end = task.rotary_offset + task.rotary_size;
  for (std::int64_t h = 0; h < task.heads; ++h) {
    const float* x = task.in + h * task.head_size;
    float* y = task.out + h * task.head_size;
    for (std::int64_t i = 0; i < task.rotary_offset; ++i) y[i] = x[i];
    for (std::int64_t i = end; i < task.head_size; ++i) y[i] = x[i];
    x += task.rotary_offset;
    y += task.rotary_offset;
    if (task.layout == ops::RopeLayout::norm) {
      rotate_neighbours(x, y, task.angles, task.rotary_size / 2);
    } else {
      rotate_halves(x, y, task.angles, task.rotary_size / 2);
    }
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ROPE_INL
