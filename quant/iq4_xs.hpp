// IQ4_XS: 256 columns of 4-bit indices into a fixed table, a 6-bit signed scale per 32 of
// them, 4.25 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/fit.hpp"
#include "ingot/quant/iq4_table.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/nibbles.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * scale * table[code]
struct IQ4_XS : LaneCodec<IQ4_XS> {
  static constexpr DType kType = DType::IQ4_XS;
  static constexpr std::string_view kName = "IQ4_XS";
  static constexpr int kBlockSize = 256;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 5 + 7;

  //  byte 0    2            4                8                            136
  //       | d  | bits 5..4   | bits 3..0      | code bytes                 |
  //        f16   of scale g    of scale g in    16 per group g: column 32 * g + i low,
  //              in bits       nibble g         32 * g + 16 + i high
  //              2g+1..2g
  struct Block {
    std::uint16_t d;
    std::uint16_t scales_high;
    std::uint8_t scales_low[4];
    std::uint8_t codes[128];
  };

  static void lanes(const Block& block, int group, Lanes32& out) {
    unpack_split_nibbles(block.codes + 16 * group, out.q,
                         [](int code, int) { return kIq4Values[code]; });
    set_scale(out, from_f16(block.d) * static_cast<float>(scale(block, group)));
  }

  static void quantize(const float* x, Block& block) {
    const SymmetricFit<32, -32, Iq4Grid> fit(x);
    block.d = fit.d;
    int high = 0;
    for (int group = 0; group < 8; ++group) {
      const int code = fit.scale[group] + 32;
      high |= (code >> 4) << (2 * group);
      const int kept = group % 2 == 0 ? 0 : block.scales_low[group / 2];
      block.scales_low[group / 2] =
          static_cast<std::uint8_t>(kept | ((code & 15) << (4 * (group % 2))));
      pack_split_nibbles(fit.code + 32 * group, block.codes + 16 * group);
    }
    block.scales_high = static_cast<std::uint16_t>(high);
  }

  /// Scale of a group of 32 columns, -32..31.
  static int scale(const Block& block, int group) {
    const int low = (block.scales_low[group / 2] >> (4 * (group % 2))) & 15;
    const int high = (block.scales_high >> (2 * group)) & 3;
    return (low | (high << 4)) - 32;
  }
};
static_assert(sizeof(IQ4_XS::Block) == 136);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
