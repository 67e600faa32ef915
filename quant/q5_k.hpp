// Q5_K: 256 columns of 5-bit integers, a 6-bit scale and min per 32 of them, 5.5 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/quant/bit_planes.hpp"
#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/fit.hpp"
#include "ingot/quant/k_scales.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/nibbles.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * scale * code - dmin * min
struct Q5_K : LaneCodec<Q5_K> {
  static constexpr DType kType = DType::Q5_K;
  static constexpr std::string_view kName = "Q5_K";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 6 + 5;

  //  byte 0    2      4                 16               48                     176
  //       | d  | dmin | 8 scales, mins   | bit 4          | bits 3..0            |
  //        f16   f16    see ScaleMins      bit g of byte    byte 32 * p + i: column 64 * p + i
  //                                        i is column      low, 64 * p + 32 + i high, as Q4_K
  //                                        32 * g + i
  struct Block {
    std::uint16_t d;
    std::uint16_t dmin;
    ScaleMins scales;
    std::uint8_t high[32];
    std::uint8_t low[128];
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    for (int i = 0; i < 32; ++i) {
      const int code = paired_nibble(block.low, group, i) | (plane_bit(block.high, group, i) << 4);
      out.q[i] = static_cast<std::int8_t>(code);
    }
    set_scale(out, from_f16(block.d) * static_cast<float>(block.scales.scale(group)),
              from_f16(block.dmin) * static_cast<float>(block.scales.min(group)));
  }

  static void quantize(const float* x, Block& block) {
    const AffineFit<32, 31, 63> fit(x);
    block.d = fit.d;
    block.dmin = fit.dmin;
    block.scales.pack(fit.scale, fit.min);
    pack_plane_bits(fit.code, 4, block.high);
    pack_paired_nibbles(fit.code, block.low);
  }
};
static_assert(sizeof(Q5_K::Block) == 176);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
