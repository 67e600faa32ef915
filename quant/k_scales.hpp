// The packed sub-block scales of the 256-column ("K") formats.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Eight 6-bit scales and eight 6-bit mins in 12 bytes (Q4_K, Q5_K). With s = scale, m = min, and
/// [5:4] meaning bits 5 and 4:
///
///   bits      7 6       5 4 3 2 1 0
///   byte j    s[j+4]    s[j]            j = 0..3, the two high bits of s[j+4] on top
///             [5:4]     [5:0]
///   byte 4+j  m[j+4]    m[j]
///             [5:4]     [5:0]
///   bits      7 6 5 4        3 2 1 0
///   byte 8+j  m[j+4] [3:0]   s[j+4] [3:0]
struct ScaleMins {
  std::uint8_t bytes[12];

  int scale(int index) const { return index < 4 ? bytes[index] & 63 : high(index, 0); }
  int min(int index) const { return index < 4 ? bytes[4 + index] & 63 : high(index, 4); }

  /// Packs eight values of 0..63 each.
  void pack(const std::uint8_t* scales, const std::uint8_t* mins) {
    for (int j = 0; j < 4; ++j) {
      bytes[j] = static_cast<std::uint8_t>((scales[j] & 63) | ((scales[j + 4] >> 4) << 6));
      bytes[4 + j] = static_cast<std::uint8_t>((mins[j] & 63) | ((mins[j + 4] >> 4) << 6));
      bytes[8 + j] = static_cast<std::uint8_t>((scales[j + 4] & 15) | ((mins[j + 4] & 15) << 4));
    }
  }

 private:
  // shift 0: scales, whose top bits are in bytes 0..3; shift 4: mins, in bytes 4..7.
  int high(int index, int shift) const {
    const int low = (bytes[4 + index] >> shift) & 15;
    return low | ((bytes[index - 4 + shift] >> 6) << 4);
  }
};
static_assert(sizeof(ScaleMins) == 12);

/// Sixteen 6-bit scales, offset by 32, in 12 bytes (Q3_K). Nibbles first, then the bit pairs:
///
///   bits      7 6 5 4           3 2 1 0
///   byte j    s[j+8] [3:0]      s[j] [3:0]                        j = 0..7
///   bits      7 6      5 4      3 2      1 0
///   byte 8+j  s[j+12]  s[j+8]   s[j+4]   s[j]     all [5:4]       j = 0..3
struct SignedScales16 {
  std::uint8_t bytes[12];

  /// -32..31
  int scale(int index) const {
    const int low = (bytes[index % 8] >> (4 * (index / 8))) & 15;
    const int high = (bytes[8 + index % 4] >> (2 * (index / 4))) & 3;
    return (low | (high << 4)) - 32;
  }

  /// Packs sixteen values of -32..31.
  void pack(const std::int8_t* scales) {
    for (std::uint8_t& byte : bytes) byte = 0;
    for (int index = 0; index < 16; ++index) {
      const int code = scales[index] + 32;
      or_into(bytes[index % 8], (code & 15) << (4 * (index / 8)));
      or_into(bytes[8 + index % 4], (code >> 4) << (2 * (index / 4)));
    }
  }

 private:
  static void or_into(std::uint8_t& byte, int bits) {
    byte = static_cast<std::uint8_t>(byte | bits);
  }
};
static_assert(sizeof(SignedScales16) == 12);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
