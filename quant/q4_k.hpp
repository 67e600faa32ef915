// Q4_K: 256 columns of 4-bit integers, a 6-bit scale and min per 32 of them, 4.5 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

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
struct Q4_K : LaneCodec<Q4_K> {
  static constexpr DType kType = DType::Q4_K;
  static constexpr std::string_view kName = "Q4_K";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 6 + 4;

  //  byte 0    2      4                    16                               144
  //       | d  | dmin | 8 scales and mins   | code bytes                     |
  //        f16   f16    6 bits each, see      byte 32 * p + i holds column 64 * p + i in the
  //                     ScaleMins             low and 64 * p + 32 + i in the high nibble
  struct Block {
    std::uint16_t d;
    std::uint16_t dmin;
    ScaleMins scales;
    std::uint8_t codes[128];
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    for (int i = 0; i < 32; ++i)
      out.q[i] = static_cast<std::int8_t>(paired_nibble(block.codes, group, i));
    set_scale(out, from_f16(block.d) * static_cast<float>(block.scales.scale(group)),
              from_f16(block.dmin) * static_cast<float>(block.scales.min(group)));
  }

  static void quantize(const float* x, Block& block) {
    const AffineFit<32, 15, 63> fit(x);
    block.d = fit.d;
    block.dmin = fit.dmin;
    block.scales.pack(fit.scale, fit.min);
    pack_paired_nibbles(fit.code, block.codes);
  }
};
static_assert(sizeof(Q4_K::Block) == 144);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
