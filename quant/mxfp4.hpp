// MXFP4: 32 columns of 4-bit floats (E2M1) and one power-of-two scale, 4.25 bits per weight
// (https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/e8m0.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/nibbles.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = 2^(e - 127) * E2M1 value, computed as 2^(e - 128) * twice the value, an integer.
struct MXFP4 : LaneCodec<MXFP4> {
  static constexpr DType kType = DType::MXFP4;
  static constexpr std::string_view kName = "MXFP4";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 1 + 2;

  //  byte 0    1                          17
  //       | e  | c16 c0 | c17 c1 |  ...    |
  //        E8M0  each byte: column i + 16 in the high nibble, column i in the low one;
  //              a code is | sign | exponent (2) | mantissa (1) |
  struct Block {
    std::uint8_t e;
    std::uint8_t codes[16];
  };

  /// Twice the value of each code. Minus zero (code 8) has no integer and decodes to plus zero.
  static constexpr std::int8_t kDoubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    unpack_split_nibbles(block.codes, out.q, [](int code, int) { return kDoubled[code]; });
    set_scale(out, e8m0_half(block.e));
  }

  /// The specification's rule: the largest magnitude's exponent, less the 2 that E2M1 spans, sets
  /// the scale; then each column takes the nearest value (the smaller of two), so above 6 it
  /// saturates.
  static void quantize(const float* x, Block& block) {
    float largest = 0.0f;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(finite(x[i])));
    const int exponent = largest == 0.0f ? 0 : std::ilogb(largest) - 2 + 127;
    block.e = static_cast<std::uint8_t>(std::clamp(exponent, 0, 254));
    std::uint8_t codes[32];
    for (int i = 0; i < 32; ++i)
      codes[i] = code(std::ldexp(static_cast<double>(finite(x[i])), 128 - block.e));
    pack_split_nibbles(codes, block.codes);
  }

 private:
  // NaN becomes 0, infinities the largest float.
  static float finite(float x) {
    constexpr float kMax = std::numeric_limits<float>::max();
    return std::isnan(x) ? 0.0f : std::clamp(x, -kMax, kMax);
  }

  // `doubled` is x / 2^(e - 128): counts the midpoints between magnitudes that lie below it.
  static std::uint8_t code(double doubled) {
    const double magnitude = std::fabs(doubled);
    int found = 0;
    for (int next = 1; next < 8; ++next)
      found += 2.0 * magnitude > static_cast<double>(kDoubled[next - 1] + kDoubled[next]) ? 1 : 0;
    return static_cast<std::uint8_t>(doubled < 0.0 && found > 0 ? found + 8 : found);
  }
};
static_assert(sizeof(MXFP4::Block) == 17);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
