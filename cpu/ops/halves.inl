// Rows of f32 as f16.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "ingot/quant/formats.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// As quant::F16 encodes: rounded to nearest, ties to even; what would become infinite saturates.
inline void store_halves(const float* in, std::int64_t count, std::uint16_t* out) {
  std::int64_t i = 0;
#if defined(__AVX512F__)
  constexpr float kLargest = 65504.0F;
  for (; i + kLanes <= count; i += kLanes) {
    Floats x = load(in + i);
    // Comparisons with NaN are false: it stays.
    x = x > broadcast(kLargest) ? broadcast(kLargest) : x;
    x = x < broadcast(-kLargest) ? broadcast(-kLargest) : x;
    const __m256i rounded = _mm512_maskz_cvtps_ph(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT);
    __builtin_memcpy(out + i, &rounded, sizeof rounded);
  }
#endif
  for (; i < count; ++i) out[i] = quant::to_f16_saturating(in[i]);
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
