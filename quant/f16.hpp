// IEEE 754 binary16 in software, and the F16 storage type.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/plain.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Largest finite binary16.
inline constexpr float kF16Max = 65504.0f;

/// Exact; subnormals, infinities and NaN included (a signalling NaN comes back quiet).
constexpr float from_f16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  // The integer conversion keeps f32 subnormals out of the arithmetic, so that a host program that
  // flushes them to zero (DAZ) still reads subnormal scales.
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;
  std::uint32_t bits = (magnitude << 13) + (112u << 23);  // the exponent bias goes from 15 to 127
  bits = magnitude < 0x0400u ? std::bit_cast<std::uint32_t>(subnormal) : bits;
  bits = magnitude >= 0x7c00u ? (magnitude << 13) | 0x7f800000u : bits;
  bits = magnitude > 0x7c00u ? bits | 0x00400000u : bits;
  return std::bit_cast<float>(bits | sign);
}

/// Round to nearest, ties to even; 65520 and above becomes infinity as IEEE 754 demands.
constexpr std::uint16_t to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000u) {  // NaN: keep the high payload bits, make it quiet
    half = 0x7e00u | ((magnitude >> 13) & 0x01ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520, the midpoint between 65504 and 65536
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14, the smallest normal half
    half = (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // Halves below 2^-14 are multiples of 2^-24, which is the spacing of floats in [0.5, 1): the
    // addition does the rounding.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
  }
  return static_cast<std::uint16_t>(sign | half);
}

/// As to_f16, but what would overflow (infinities too) becomes ±65504. NaN stays NaN.
constexpr std::uint16_t to_f16_saturating(float value) {
  const std::uint16_t half = to_f16(value);
  const bool is_infinite = (half & 0x7fffu) == 0x7c00u;
  return is_infinite ? static_cast<std::uint16_t>(half - 1u) : half;
}

/// One binary16 per element. The encoder saturates: stored values never become infinite.
struct F16 : PlainCodec<F16> {
  static constexpr DType kType = DType::F16;
  static constexpr std::string_view kName = "F16";

  //   15   14  10 9        0
  //  | s | exponent | mantissa |
  struct Block {
    std::uint16_t bits;
  };

  static constexpr float decode(Block block) { return from_f16(block.bits); }
  static constexpr Block encode(float value) { return {to_f16_saturating(value)}; }
};
static_assert(sizeof(F16::Block) == 2);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
