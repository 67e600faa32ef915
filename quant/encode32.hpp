// The published encoders of the 32-column formats: Q4_0 and Q5_0 (symmetric), Q4_1 and Q5_1
// (affine). They divide by the scale before it is rounded to f16 and round codes by truncation
// after adding a half; both are kept so that a file encoded again comes out byte for byte as other
// tools write it (rules: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/quants.py).
#pragma once

#include <algorithm>
#include <cstdint>

#include "ingot/quant/config.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/round.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// trunc(scaled + offset) within [0, max_code]; `scaled` is a product.
inline std::uint8_t truncated_code(float scaled, float offset, int max_code) {
  const float shifted = rounded(scaled) + offset;
  return static_cast<std::uint8_t>(std::clamp(shifted, 0.0f, static_cast<float>(max_code)));
}

/// Codes 0..2*kZero-1 that mean d * (code - kZero), the largest magnitude at code 0. Returns d as
/// f16.
template <int kZero>
std::uint16_t encode_symmetric32(const float* x, std::uint8_t (&codes)[32]) {
  const float d = f16_bound(signed_max(x, 32) / static_cast<float>(-kZero));
  const float inverse = inverse_or_zero(d);
  for (int i = 0; i < 32; ++i)
    codes[i] =
        truncated_code(encodable(x[i]) * inverse, static_cast<float>(kZero) + 0.5f, 2 * kZero - 1);
  return to_f16_saturating(d);
}

/// Scale and offset of an affine block, as f16.
struct ScaleOffset {
  std::uint16_t scale;
  std::uint16_t offset;
};

/// Codes 0..kMaxCode that mean scale * code + offset.
template <int kMaxCode>
ScaleOffset encode_affine32(const float* x, std::uint8_t (&codes)[32]) {
  const Range found = range(x, 32);
  const float low = f16_bound(found.low);
  const float d = f16_bound((found.high - low) / static_cast<float>(kMaxCode));
  const float inverse = inverse_or_zero(d);
  for (int i = 0; i < 32; ++i)
    codes[i] = truncated_code((encodable(x[i]) - low) * inverse, 0.5f, kMaxCode);
  return {to_f16_saturating(d), to_f16_saturating(low)};
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
