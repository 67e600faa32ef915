// Q4_0: 32 columns of 4-bit integers and one scale, 4.5 bits per weight.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/encode32.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/nibbles.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * (code - 8)
struct Q4_0 : LaneCodec<Q4_0> {
  static constexpr DType kType = DType::Q4_0;
  static constexpr std::string_view kName = "Q4_0";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 3;

  //  byte 0    2                          18
  //       | d  | c16 c0 | c17 c1 |  ...    |
  //        f16   each byte: column i + 16 in the high nibble, column i in the low one
  struct Block {
    std::uint16_t d;
    std::uint8_t codes[16];
  };

  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    unpack_split_nibbles(block.codes, out.q, [](int code, int) { return code - 8; });
    set_scale(out, from_f16(block.d));
  }

  static void quantize(const float* x, Block& block) {
    std::uint8_t codes[32];
    block.d = encode_symmetric32<8>(x, codes);
    pack_split_nibbles(codes, block.codes);
  }
};
static_assert(sizeof(Q4_0::Block) == 18);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
