// Q2_K: 256 columns of 2-bit integers, a 4-bit scale and min per 16 of them, 2.625 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/quant/bit_planes.hpp"
#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/fit.hpp"
#include "ingot/quant/lanes.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * scale * code - dmin * min
struct Q2_K : LaneCodec<Q2_K> {
  static constexpr DType kType = DType::Q2_K;
  static constexpr std::string_view kName = "Q2_K";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 16;
  static constexpr int kProductBits = 11 + 4 + 2;

  //  byte 0                  16                     80   82     84
  //       | min0 scale0 | ... | code bytes           | d  | dmin |
  //         one byte per 16     byte 32 * h + i holds  f16  f16
  //         columns, min in     columns 128 * h + i + (96 | 64 | 32 | 0)
  //         the high nibble     from the top bits down, h = 0, 1
  struct Block {
    std::uint8_t scales[16];
    std::uint8_t codes[64];
    std::uint16_t d;
    std::uint16_t dmin;
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    for (int i = 0; i < 32; ++i)
      out.q[i] = static_cast<std::int8_t>(bit_pair(block.codes, group, i));
    for (int half = 0; half < 2; ++half) {
      const int packed = block.scales[2 * group + half];
      out.scale[half] = from_f16(block.d) * static_cast<float>(packed & 15);
      out.min[half] = from_f16(block.dmin) * static_cast<float>(packed >> 4);
    }
  }

  static void quantize(const float* x, Block& block) {
    const AffineFit<16, 3, 15> fit(x);
    for (int s = 0; s < 16; ++s)
      block.scales[s] = static_cast<std::uint8_t>(fit.scale[s] | (fit.min[s] << 4));
    pack_bit_pairs(fit.code, 0, block.codes);
    block.d = fit.d;
    block.dmin = fit.dmin;
  }
};
static_assert(sizeof(Q2_K::Block) == 84);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
