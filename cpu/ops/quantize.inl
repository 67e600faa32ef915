// Activations as integers: blocks of 32 columns with an f32 scale.
#include "cpu/ops/matmul.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::cpu::INGOT_CPU_TARGET {

/// scale = largest magnitude / 32767, q = round(x / scale), ties to even, clamped. A
/// block with an infinity or NaN gets scale NaN, so that the fault reaches the output; a block so
/// small that largest / x could overflow (below 2^-111) counts as zero.
inline void quantize_row(const QuantizeRow& task) {
  constexpr float kLargest = 32767.0F;
  constexpr std::int32_t kInfinity = 0x7f800000;
  constexpr std::int32_t kTiny = (127 - 111) << 23;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23
  constexpr std::int32_t kRounderBits = 0x4b400000;
  std::int16_t* row_q = task.out.q();
  float* scales = task.out.scales();
  float* scaled_sums = task.out.scaled_sums();
  std::int32_t* sums = task.out.sums();
  for (std::int64_t b = 0; b * kActivationBlock < task.out.columns; ++b) {
    const float* x = task.in + b * kActivationBlock;
    std::int16_t* q = row_q + b * kActivationBlock;
    std::int32_t largest_bits = 0;  // of floats without sign, integers order as the floats do
    for (int i = 0; i < kActivationBlock; ++i) {
      const std::int32_t bits = __builtin_bit_cast(std::int32_t, x[i]) & 0x7fffffff;
      largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    const float largest = __builtin_bit_cast(float, largest_bits);
    const bool usable = largest_bits < kInfinity && largest_bits >= kTiny;
    const float inverse = usable ? kLargest / largest : 0.0F;
    const float poison = __builtin_nanf("");
    scales[b] = usable ? largest / kLargest : largest_bits >= kInfinity ? poison : 0.0F;
    for (int half = 0; half < 2; ++half) {
      std::int32_t total = 0;
      for (int i = 16 * half; i < 16 * half + 16; ++i) {
        float scaled = usable ? x[i] * inverse : 0.0F;
        scaled = scaled > kLargest ? kLargest : scaled;
        scaled = scaled < -kLargest ? -kLargest : scaled;
        const std::int32_t rounded =
            __builtin_bit_cast(std::int32_t, scaled + kRounder) - kRounderBits;
        q[i] = static_cast<std::int16_t>(rounded);
        total += rounded;
      }
      sums[2 * b + half] = total;
    }
    scaled_sums[b] = scales[b] * static_cast<float>(sums[2 * b] + sums[2 * b + 1]);
  }
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET
