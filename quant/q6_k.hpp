// Q6_K: 256 columns of 6-bit integers and an 8-bit signed scale per 16 of them, 6.5625 bits per
// weight.
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

/// x = d * scale * (code - 32)
struct Q6_K : LaneCodec<Q6_K> {
  static constexpr DType kType = DType::Q6_K;
  static constexpr std::string_view kName = "Q6_K";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 16;
  static constexpr int kProductBits = 11 + 7 + 5;

  //  byte 0                         128                    192             208  210
  //       | bits 3..0                | bits 5..4            | 16 scales     | d  |
  //         byte 64 * h + i holds      byte 32 * h + i        signed bytes    f16
  //         columns 128 * h + i        holds columns
  //         (low) and + 64 (high),     128 * h + i + (96 | 64 | 32 | 0)
  //         i = 0..63, h = 0, 1        from the top bits down
  struct Block {
    std::uint8_t low[128];
    std::uint8_t high[64];
    std::int8_t scales[16];
    std::uint16_t d;
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    const std::uint8_t* low = block.low + low_byte(group);
    for (int i = 0; i < 32; ++i) {
      const int code = ((low[i] >> low_shift(group)) & 15) | (bit_pair(block.high, group, i) << 4);
      out.q[i] = static_cast<std::int8_t>(code - 32);
    }
    const float d = from_f16(block.d);
    set_scales(out, d * static_cast<float>(block.scales[2 * group]),
               d * static_cast<float>(block.scales[2 * group + 1]));
  }

  /// Writes 256 codes of 0..63.
  static void set_codes(const std::uint8_t* codes, Block& block) {
    for (int i = 0; i < 128; ++i) {
      const std::uint8_t* code = codes + 128 * (i / 64) + i % 64;
      block.low[i] = static_cast<std::uint8_t>((code[0] & 15) | ((code[64] & 15) << 4));
    }
    pack_bit_pairs(codes, 4, block.high);
  }

  static void quantize(const float* x, Block& block) {
    const SymmetricFit<16, -128, IntegerGrid<-32>> fit(x);
    set_codes(fit.code, block);
    for (int s = 0; s < 16; ++s) block.scales[s] = fit.scale[s];
    block.d = fit.d;
  }

  /// Where the low four bits of a group of 32 columns start, and how far up they stand.
  static constexpr int low_byte(int group) { return 64 * (group / 4) + 32 * (group % 2); }
  static constexpr int low_shift(int group) { return 4 * ((group / 2) % 2); }
};
static_assert(sizeof(Q6_K::Block) == 210);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
