// A core reads two places in turns faster than one: weights of few rows are read as two streams,
// from the first on and from the middle on (docs/cpu_kernels.md).
#include <cstdint>

#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_STREAMS_INL
#define INGOT_CPU_STREAMS_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Weights are worth a second stream from this many bytes on.
inline constexpr std::int64_t kLeastStreamBytes = 24 << 10;

/// multiply(Constant<places>, n, step) until each of `count` pieces, `bytes` together, has been
/// piece n or n + step of a call. kStreams 1: one piece at a time.
template <int kStreams, class Multiply>
inline void in_streams(std::int64_t count, std::int64_t bytes, Multiply&& multiply) {
  static_assert(kStreams == 1 || kStreams == 2);
  std::int64_t pairs = 0;
  if constexpr (kStreams == 2) {
    if (bytes >= kLeastStreamBytes) pairs = count / 2;
    for (std::int64_t n = 0; n < pairs; ++n) multiply(Constant<2>{}, n, pairs);
  }
  for (std::int64_t n = 2 * pairs; n < count; ++n) multiply(Constant<1>{}, n, std::int64_t{0});
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_STREAMS_INL
