// E8M0, the power-of-two scale of the OCP microscaling formats
// (https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf, §5.4).
#pragma once

#include <bit>
#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Half of the scale: 2^(exponent - 128). Halved because decoders multiply it by doubled 4-bit
/// values, which are integers. Exponents 0 and 1 give the f32 subnormals 2^-128 and 2^-127: exact,
/// never flushed. The specification calls 255 NaN; what GGUF files are decoded with reads it as
/// 2^127, and so do we.
constexpr float e8m0_half(std::uint8_t exponent) {
  if (exponent < 2) return std::bit_cast<float>(0x00200000u << exponent);
  return std::bit_cast<float>((exponent - 1u) << 23);
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
