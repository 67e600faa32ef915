// bfloat16 (the upper half of a binary32) in software, and the BF16 storage type.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/plain.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Exact.
constexpr float from_bf16(std::uint16_t upper) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
}

/// Round to nearest, ties to even; subnormals are kept, NaN becomes quiet, and what lies beyond the
/// largest finite bfloat16 (3.39e38) rounds to infinity.
constexpr std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// One bfloat16 per element.
struct BF16 : PlainCodec<BF16> {
  static constexpr DType kType = DType::BF16;
  static constexpr std::string_view kName = "BF16";

  //   15   14   7 6        0
  //  | s | exponent | mantissa |
  struct Block {
    std::uint16_t bits;
  };

  static constexpr float decode(Block block) { return from_bf16(block.bits); }
  static constexpr Block encode(float value) { return {to_bf16(value)}; }
};
static_assert(sizeof(BF16::Block) == 2);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
