// Q3_K: 256 columns of 3-bit integers and a 6-bit signed scale per 16 of them, 3.4375 bits per
// weight.
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

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * scale * (code - 4)
struct Q3_K : LaneCodec<Q3_K> {
  static constexpr DType kType = DType::Q3_K;
  static constexpr std::string_view kName = "Q3_K";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 16;
  static constexpr int kProductBits = 11 + 5 + 2;

  //  byte 0            32                         96          108  110
  //       | bit 2       | bits 1..0                | 16 scales | d  |
  //         bit g of      byte 32 * h + i holds      see         f16
  //         byte i is     columns 128 * h + i +      SignedScales16
  //         column        (96 | 64 | 32 | 0)
  //         32 * g + i    from the top bits down
  struct Block {
    std::uint8_t high[32];
    std::uint8_t low[64];
    SignedScales16 scales;
    std::uint16_t d;
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    for (int i = 0; i < 32; ++i) {
      const int code = bit_pair(block.low, group, i) | (plane_bit(block.high, group, i) << 2);
      out.q[i] = static_cast<std::int8_t>(code - 4);
    }
    const float d = from_f16(block.d);
    set_scales(out, d * static_cast<float>(block.scales.scale(2 * group)),
               d * static_cast<float>(block.scales.scale(2 * group + 1)));
  }

  static void quantize(const float* x, Block& block) {
    const SymmetricFit<16, -32, IntegerGrid<-4>> fit(x);
    pack_plane_bits(fit.code, 2, block.high);
    pack_bit_pairs(fit.code, 0, block.low);
    block.scales.pack(fit.scale);
    block.d = fit.d;
  }
};
static_assert(sizeof(Q3_K::Block) == 110);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
