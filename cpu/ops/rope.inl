// Rope's loops.
#include "cpu/ops/rope.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::cpu::INGOT_CPU_TARGET {

inline void rotate(const RopeHeads& task) {
  const std::int64_t pairs = task.rotary_size / 2;
  const bool neighbours = task.layout == ops::RopeLayout::norm;
  const std::int64_t from_pair = neighbours ? 2 : 1;
  const std::int64_t to_second = neighbours ? 1 : pairs;
  for (std::int64_t h = 0; h < task.heads; ++h) {
    const float* x = task.in + h * task.head_size;
    float* y = task.out + h * task.head_size;
    for (std::int64_t i = 0; i < task.rotary_offset; ++i) y[i] = x[i];
    for (std::int64_t i = task.rotary_offset + task.rotary_size; i < task.head_size; ++i)
      y[i] = x[i];
    x += task.rotary_offset;
    y += task.rotary_offset;
    for (std::int64_t i = 0; i < pairs; ++i) {
      const float c = task.angles[2 * i];
      const float s = task.angles[2 * i + 1];
      const float a = x[i * from_pair];
      const float b = x[i * from_pair + to_second];
      y[i * from_pair] = a * c - b * s;
      y[i * from_pair + to_second] = a * s + b * c;
    }
  }
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET
