// One- and two-bit planes of the 256-column formats. Column = 32 * group + i.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Two bits per column: 32 bytes hold four groups, the first in the lowest bits
/// (Q2_K's and Q3_K's codes, Q6_K's high bits).
inline int bit_pair(const std::uint8_t* bytes, int group, int i) {
  return (bytes[32 * (group / 4) + i] >> (2 * (group % 4))) & 3;
}

/// Packs bits [shift+1 : shift] of 256 codes into 64 bytes in the order of bit_pair.
inline void pack_bit_pairs(const std::uint8_t* codes, int shift, std::uint8_t* bytes) {
  for (int i = 0; i < 64; ++i) {
    const std::uint8_t* code = codes + 128 * (i / 32) + i % 32;
    int value = 0;
    for (int group = 0; group < 4; ++group)
      value |= ((code[32 * group] >> shift) & 3) << (2 * group);
    bytes[i] = static_cast<std::uint8_t>(value);
  }
}

/// One bit per column: byte i holds column i of all eight groups (high bits of Q3_K and Q5_K).
inline int plane_bit(const std::uint8_t* bytes, int group, int i) {
  return (bytes[i] >> group) & 1;
}

/// Packs bit `shift` of 256 codes into 32 bytes in the order of plane_bit.
inline void pack_plane_bits(const std::uint8_t* codes, int shift, std::uint8_t* bytes) {
  for (int i = 0; i < 32; ++i) {
    int value = 0;
    for (int group = 0; group < 8; ++group)
      value |= ((codes[32 * group + i] >> shift) & 1) << group;
    bytes[i] = static_cast<std::uint8_t>(value);
  }
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
