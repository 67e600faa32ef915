// The F32 storage type: what the others decode to.
#pragma once

#include <string_view>

#include "ingot/quant/config.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/plain.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// One binary32 per element.
struct F32 : PlainCodec<F32> {
  static constexpr DType kType = DType::F32;
  static constexpr std::string_view kName = "F32";

  //   31   30  23 22       0
  //  | s | exponent | mantissa |
  struct Block {
    float value;
  };

  static constexpr float decode(Block block) { return block.value; }
  static constexpr Block encode(float value) { return {value}; }
};
static_assert(sizeof(F32::Block) == 4);

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
