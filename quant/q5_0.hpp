// Q5_0: 32 columns of 5-bit integers and one scale, 5.5 bits per weight.
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

/// x = d * (code - 16)
struct Q5_0 : LaneCodec<Q5_0> {
  static constexpr DType kType = DType::Q5_0;
  static constexpr std::string_view kName = "Q5_0";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 4;

  //  byte 0    2        6                          22
  //       | d  | bit 4  | c16 c0 | c17 c1 |  ...    |
  //        f16   |        low four bits: column i + 16 in the high nibble, column i in the low one
  //              32 bits, bit k belongs to column k
  struct Block {
    std::uint16_t d;
    std::uint8_t fifth[4];
    std::uint8_t codes[16];
  };

  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    unpack_split_nibbles(block.codes, out.q, [&](int code, int column) {
      return (code | (fifth_bit(block.fifth, column) << 4)) - 16;
    });
    set_scale(out, from_f16(block.d));
  }

  static void quantize(const float* x, Block& block) {
    std::uint8_t codes[32];
    block.d = encode_symmetric32<16>(x, codes);
    pack_fifth_bits(codes, block.fifth);
    pack_split_nibbles(codes, block.codes);
  }
};
static_assert(sizeof(Q5_0::Block) == 22);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
