// Q4_1: 32 columns of 4-bit integers, one scale and one offset, 5 bits per weight.
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

/// x = d * code + m
struct Q4_1 : LaneCodec<Q4_1> {
  static constexpr DType kType = DType::Q4_1;
  static constexpr std::string_view kName = "Q4_1";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 4;

  //  byte 0    2    4                          20
  //       | d  | m  | c16 c0 | c17 c1 |  ...    |
  //        f16  f16   column i + 16 in the high nibble, column i in the low one
  struct Block {
    std::uint16_t d;
    std::uint16_t m;
    std::uint8_t codes[16];
  };

  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    unpack_split_nibbles(block.codes, out.q, [](int code, int) { return code; });
    set_scale(out, from_f16(block.d), -from_f16(block.m));
  }

  static void quantize(const float* x, Block& block) {
    std::uint8_t codes[32];
    const ScaleOffset fit = encode_affine32<15>(x, codes);
    block.d = fit.scale;
    block.m = fit.offset;
    pack_split_nibbles(codes, block.codes);
  }
};
static_assert(sizeof(Q4_1::Block) == 20);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
