// IQ4_NL: 32 columns of 4-bit indices into a fixed table and one scale, 4.5 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/iq4_table.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/nibbles.hpp"
#include "ingot/quant/round.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * table[code]
struct IQ4_NL : LaneCodec<IQ4_NL> {
  static constexpr DType kType = DType::IQ4_NL;
  static constexpr std::string_view kName = "IQ4_NL";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 7;

  //  byte 0    2                          18
  //       | d  | c16 c0 | c17 c1 |  ...    |
  //        f16   each byte: column i + 16 in the high nibble, column i in the low one
  struct Block {
    std::uint16_t d;
    std::uint8_t codes[16];
  };

  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    unpack_split_nibbles(block.codes, out.q, [](int code, int) { return kIq4Values[code]; });
    set_scale(out, from_f16(block.d));
  }

  /// Plain: the largest magnitude lands on the table's end, the others on the nearest entry.
  static void quantize(const float* x, Block& block) {
    block.d = to_f16_saturating(signed_max(x, 32) / static_cast<float>(Iq4Grid::kLow));
    std::uint8_t codes[32];
    for (int i = 0; i < 32; ++i)
      codes[i] = Iq4Grid::code(quotient(encodable(x[i]), from_f16(block.d)));
    pack_split_nibbles(codes, block.codes);
  }
};
static_assert(sizeof(IQ4_NL::Block) == 18);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
