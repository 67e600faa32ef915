// How encoders round and keep values finite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ingot/quant/config.hpp"
#include "ingot/quant/f16.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// What an encoder takes for x: NaN becomes 0, and magnitudes stay below 1e30 so that differences
/// and quotients cannot overflow. No format with an f16 scale reaches 2^31, so nothing
/// representable changes.
inline float encodable(float x) {
  return std::isnan(x) ? 0.0f : std::clamp(x, -1e30f, 1e30f);
}

/// A scale or min as an f16 field can hold it: at most ±65504. Larger blocks then saturate in their
/// codes, and their small elements stay right.
inline float f16_bound(float x) {
  return std::clamp(x, -kF16Max, kF16Max);
}

/// 1 / d, or 0 where that is not finite (d is then far below the smallest f16, so it is stored as
/// 0).
inline float inverse_or_zero(float d) {
  const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

/// x / scale, or 0 for a scale of 0.
inline float quotient(float x, float scale) {
  return scale == 0.0f ? 0.0f : x / scale;
}

/// Its argument, rounded: keeps a compiler from fusing a product with the sum that follows, which
/// would move ties when the including program allows contraction. An empty asm, because GCC 12's
/// __builtin_assoc_barrier was seen not to stop -ffp-contract=fast.
inline float rounded(float product) {
#if defined(__aarch64__)
  asm("" : "+w"(product));
#elif defined(__FMA__)
  asm("" : "+x"(product));
#endif
  return product;
}

/// The integer nearest to x (halves away from 0) within [low, high].
inline int nearest(float x, int low, int high) {
  return static_cast<int>(
      std::round(std::clamp(x, static_cast<float>(low), static_cast<float>(high))));
}

/// The element of largest magnitude, the first of equals; 0 when there is none other.
inline float signed_max(const float* x, int count) {
  float best = 0.0f;
  for (int i = 0; i < count; ++i) {
    const float value = encodable(x[i]);
    if (std::fabs(value) > std::fabs(best)) best = value;
  }
  return best;
}

struct Range {
  float low;
  float high;
};

/// Smallest and largest element.
inline Range range(const float* x, int count) {
  Range found{encodable(x[0]), encodable(x[0])};
  for (int i = 1; i < count; ++i) {
    const float value = encodable(x[i]);
    found.low = std::min(found.low, value);
    found.high = std::max(found.high, value);
  }
  return found;
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
