// Norm's loops.
#include "cpu/ops/norm.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Sum of f(lanes) over `size` values: f32 within 256 values, double beyond, so that the rounding
/// error does not grow with the width of the model.
template <class Function>
inline double sum_of(const float* x, std::int64_t size, Function&& f) {
  constexpr std::int64_t kChunk = 256;
  double total = 0;
  for (std::int64_t begin = 0; begin < size; begin += kChunk) {
    const std::int64_t end = begin + kChunk < size ? begin + kChunk : size;
    Floats partial = {};
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) partial += f(load(x + i));
    total += static_cast<double>(sum(partial));
    if (i < end) {
      const Floats last = f(load_part(x + i, end - i));
      for (int lane = 0; lane < static_cast<int>(end - i); ++lane) {
        total += static_cast<double>(last[lane]);
      }
    }
  }
  return total;
}

inline void normalise(const NormGroup& task) {
  const auto size = static_cast<double>(task.size);
  float mean = 0.0F;
  if (task.kind == ops::NormKind::layer) {
    mean = static_cast<float>(sum_of(task.in, task.size, [](Floats v) { return v; }) / size);
  }
  const double squares = sum_of(task.in, task.size, [mean](Floats v) {
    const Floats d = v - mean;
    return d * d;
  });
  const auto factor = static_cast<float>(1.0 / __builtin_sqrt(squares / size + task.epsilon));
  for (std::int64_t i = 0; i < task.size; ++i) {
    float y = (task.in[i] - mean) * factor;
    if (task.weight != nullptr) y *= task.weight[i];
    if (task.bias != nullptr) y += task.bias[i];
    task.out[i] = y;
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
