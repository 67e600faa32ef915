// What the types without blocks (F32, F16, BF16) share: each element stands alone.
#pragma once

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Base of a type whose "block" is one element; Type gives `Block`, `decode` and `encode`.
template <class Type>
struct PlainCodec {
  static constexpr int kBlockSize = 1;
  static constexpr bool kIntegerGrid =
      false;  ///< no lanes(): values are not integers times a scale

  template <class Block>
  static void dequantize(const Block& block, float* y) {
    *y = Type::decode(block);
  }

  template <class Block>
  static void quantize(const float* x, Block& block) {
    block = Type::encode(*x);
  }
};

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
