// Q8_0: 32 columns of 8-bit integers and one scale, 8.5 bits per weight.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/lanes.hpp"
#include "ingot/quant/round.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// x = d * q
struct Q8_0 : LaneCodec<Q8_0> {
  static constexpr DType kType = DType::Q8_0;
  static constexpr std::string_view kName = "Q8_0";
  static constexpr int kBlockSize = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;
  static constexpr int kProductBits = 11 + 8;

  //  byte 0    2                                34
  //       | d  | q[0] q[1]          ...    q[31] |
  //        f16   signed bytes
  struct Block {
    std::uint16_t d;
    std::int8_t q[32];
  };

  /// Other tools write q within ±127, but a file may hold -128.
  static void lanes(const Block& block, int /*group*/, Lanes32& out) {
    for (int i = 0; i < 32; ++i) out.q[i] = block.q[i];
    set_scale(out, from_f16(block.d));
  }

  /// Published rule: d = largest magnitude / 127, q = round(x / d before its rounding to f16).
  static void quantize(const float* x, Block& block) {
    const float d = f16_bound(std::fabs(signed_max(x, 32)) / 127.0f);
    const float inverse = inverse_or_zero(d);
    for (int i = 0; i < 32; ++i)
      block.q[i] = static_cast<std::int8_t>(nearest(encodable(x[i]) * inverse, -127, 127));
    block.d = to_f16_saturating(d);
  }
};
static_assert(sizeof(Q8_0::Block) == 34);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
