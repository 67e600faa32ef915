// Activations as integers: blocks of 32 columns with an f32 scale.
#include "cpu/ops/activations.inl"
#include "cpu/ops/matmul.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// scale = largest magnitude / kLargestActivation, q = round(x / scale), ties to even, clamped. A
/// block with an infinity or NaN gets scale NaN, so that the fault reaches the output; a block so
/// small that kLargestActivation / x could overflow (below 2^-111) counts as zero.
template <class Order>
inline void quantize_row(const QuantizeRow& task) {
  constexpr float kLargest = kLargestActivation;
  constexpr std::int32_t kInfinity = 0x7f800000;
  constexpr std::int32_t kTiny = (127 - 111) << 23;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23
  constexpr std::int32_t kRounderBits = 0x4b400000;
  const std::int64_t first_block = task.first_column / kActivationBlock;
  std::int16_t* row_q = task.out.q() + task.first_column;
  float* scales = task.out.scales() + first_block;
  float* scaled_sums = task.out.scaled_sums() + first_block;
  std::int32_t* sums = task.out.sums() + 2 * first_block;
  for (std::int64_t b = 0; b * kActivationBlock < task.columns; ++b) {
    Floats x[kBlockVectors];
    Ints top = {};  // of floats without sign, integers order as the floats do
    for (int v = 0; v < kBlockVectors; ++v) {
      x[v] = load(task.in + b * kActivationBlock + v * kLanes);
      const Ints bits = (Ints)x[v] & 0x7fffffff;
      top = larger(top, bits);
    }
    const std::int32_t largest_bits = largest_lane(top);
    const float largest = __builtin_bit_cast(float, largest_bits);
    const bool usable = largest_bits < kInfinity && largest_bits >= kTiny;
    const float inverse = usable ? kLargest / largest : 0.0F;
    const float poison = __builtin_nanf("");
    scales[b] = usable ? largest / kLargest : largest_bits >= kInfinity ? poison : 0.0F;
    Ints rounded[kBlockVectors] = {};
    for (int v = 0; usable && v < kBlockVectors; ++v) {
      Floats scaled = x[v] * inverse;
      scaled = scaled > broadcast(kLargest) ? broadcast(kLargest) : scaled;
      scaled = scaled < broadcast(-kLargest) ? broadcast(-kLargest) : scaled;
      rounded[v] = (Ints)(scaled + kRounder) - kRounderBits;
    }
    Order::store(rounded, row_q + b * kActivationBlock);
    for (int half = 0; half < 2; ++half) {
      Ints total = {};
      for (int v = 0; v < kBlockVectors / 2; ++v) total += rounded[half * kBlockVectors / 2 + v];
      sums[2 * b + half] = sum_lanes(total);
    }
    scaled_sums[b] = scales[b] * static_cast<float>(sums[2 * b] + sums[2 * b + 1]);
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
