// The uniform view of a block that backends use, and decoding written once on top of it.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {

/// 32 consecutive columns of a block. For half h (16 columns): x = scale[h] * q - min[h].
/// Formats with one scale per 32 columns set both halves alike; formats without mins set min to 0.
struct Lanes32 {
  std::int8_t q[32];
  float scale[2];
  float min[2];
};

inline namespace INGOT_QUANT_TARGET {

/// Base of every format that stores integers times a scale. `Type` gives
///   struct Block            the bytes of a file
///   kBlockSize              columns per block, a multiple of 32
///   kHasMin                 whether min[] is ever other than 0
///   kScaleSpan              columns that share one scale: 16 or 32 (or fewer scales still)
///   kProductBits            significant bits of the widest scale * q
///   lanes(block, g, out)    the 32 columns that start at 32 * g, 0 <= g < kGroups
///
/// scale * q is exact in f32 because it needs at most 24 bits (f16's 11, the sub-block scale's, the
/// code's). The subtraction is thus the only rounding, and a compiler that fuses both into an FMA
/// (as -march=native lets it) computes the same bits.
template <class Type>
struct LaneCodec {
  static constexpr bool kIntegerGrid = true;

  /// Decodes one block to kBlockSize floats.
  template <class Block>
  static void dequantize(const Block& block, float* y) {
    static_assert(Type::kProductBits <= 24, "scale * q must be exact in f32");
    static_assert(Type::kScaleSpan == 16 || Type::kScaleSpan == 32);
    static_assert(Type::kBlockSize % 32 == 0);
    for (int group = 0; group < Type::kBlockSize / 32; ++group) {
      Lanes32 lanes;
      Type::lanes(block, group, lanes);
      for (int i = 0; i < 32; ++i) {
        const float product = lanes.scale[i / 16] * static_cast<float>(lanes.q[i]);
        y[32 * group + i] = Type::kHasMin ? product - lanes.min[i / 16] : product;
      }
    }
  }
};

/// Sets both halves to the same scale and min.
inline void set_scale(Lanes32& lanes, float scale, float min = 0.0f) {
  lanes.scale[0] = lanes.scale[1] = scale;
  lanes.min[0] = lanes.min[1] = min;
}

/// Sets the scale of each half, without mins.
inline void set_scales(Lanes32& lanes, float first, float second) {
  lanes.scale[0] = first;
  lanes.scale[1] = second;
  lanes.min[0] = lanes.min[1] = 0.0f;
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
