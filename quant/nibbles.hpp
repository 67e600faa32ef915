// Four-bit codes, two to a byte, and the fifth bits some formats keep beside them.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// bytes[i] holds column i in its low nibble and column i + 16 in its high one:
/// q[column] = decode(nibble, column).
template <class Decode>
void unpack_split_nibbles(const std::uint8_t* bytes, std::int8_t (&q)[32], Decode decode) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<std::int8_t>(decode(bytes[i] & 15, i));
    q[i + 16] = static_cast<std::int8_t>(decode(bytes[i] >> 4, i + 16));
  }
}

/// The inverse, for codes of which only the low four bits are taken.
inline void pack_split_nibbles(const std::uint8_t* codes, std::uint8_t* bytes) {
  for (int i = 0; i < 16; ++i)
    bytes[i] = static_cast<std::uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
}

/// Q4_K and Q5_K keep two groups of 32 columns in 32 bytes: the even group in the low nibbles.
inline int paired_nibble(const std::uint8_t* bytes, int group, int i) {
  return (bytes[32 * (group / 2) + i] >> (4 * (group % 2))) & 15;
}

/// Packs the low four bits of 256 codes into 128 bytes in the order of paired_nibble.
inline void pack_paired_nibbles(const std::uint8_t* codes, std::uint8_t* bytes) {
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t* code = codes + 64 * pair + i;
      bytes[32 * pair + i] = static_cast<std::uint8_t>((code[0] & 15) | ((code[32] & 15) << 4));
    }
  }
}

/// Bit `column` of four bytes read as one little-endian number (the fifth bits of Q5_0 and Q5_1).
inline int fifth_bit(const std::uint8_t (&bits)[4], int column) {
  return (bits[column / 8] >> (column % 8)) & 1;
}

/// Collects bit 4 of 32 codes in the order of fifth_bit.
inline void pack_fifth_bits(const std::uint8_t* codes, std::uint8_t (&bits)[4]) {
  for (int byte = 0; byte < 4; ++byte) {
    int value = 0;
    for (int i = 0; i < 8; ++i) value |= ((codes[8 * byte + i] >> 4) & 1) << i;
    bits[byte] = static_cast<std::uint8_t>(value);
  }
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
