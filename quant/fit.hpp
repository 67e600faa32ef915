// Plain encoders of the 256-column formats: each sub-block's range sets its scale, the scales are
// rounded to integers times one f16 number, and codes are rounded with the scale as it will be
// decoded. No search for smaller error and no importance weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ingot/quant/config.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/round.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Sub-blocks of kSpan columns with codes 0..kMaxCode meaning (d * scale) * code - dmin * min,
/// where scale and min are 0..kMaxScale (Q2_K, Q4_K, Q5_K).
template <int kSpan, int kMaxCode, int kMaxScale>
struct AffineFit {
  static constexpr int kCount = 256 / kSpan;
  std::uint16_t d;     ///< f16
  std::uint16_t dmin;  ///< f16
  std::uint8_t scale[kCount];
  std::uint8_t min[kCount];
  std::uint8_t code[256];

  explicit AffineFit(const float* x) {
    float wanted_scale[kCount];
    float wanted_min[kCount];
    for (int s = 0; s < kCount; ++s) {
      const Range found = range(x + kSpan * s, kSpan);
      const float low = std::min(found.low, 0.0f);  // mins are subtracted and not negative
      wanted_scale[s] = (found.high - low) / static_cast<float>(kMaxCode);
      wanted_min[s] = -low;
    }
    d = share(wanted_scale, scale);
    dmin = share(wanted_min, min);
    for (int i = 0; i < 256; ++i) {
      const int s = i / kSpan;
      const float step = from_f16(d) * static_cast<float>(scale[s]);
      const float offset = from_f16(dmin) * static_cast<float>(min[s]);
      const float position = quotient(encodable(x[i]) + offset, step);
      code[i] = static_cast<std::uint8_t>(nearest(position, 0, kMaxCode));
    }
  }

 private:
  // Writes values as integers 0..kMaxScale times one f16 number, which it returns.
  static std::uint16_t share(const float (&wanted)[kCount], std::uint8_t (&integers)[kCount]) {
    const float largest = *std::max_element(wanted, wanted + kCount);
    const std::uint16_t unit = to_f16_saturating(largest / static_cast<float>(kMaxScale));
    for (int s = 0; s < kCount; ++s)
      integers[s] =
          static_cast<std::uint8_t>(nearest(quotient(wanted[s], from_f16(unit)), 0, kMaxScale));
    return unit;
  }
};

/// Sub-blocks of kSpan columns with codes that mean (d * scale) * Grid value, where scale is
/// kLowScale..-kLowScale-1 (Q3_K, Q6_K, IQ4_XS). A Grid gives `kLow`, its value of largest
/// magnitude, and `code(v)`, the stored code of the value nearest to v.
template <int kSpan, int kLowScale, class Grid>
struct SymmetricFit {
  static constexpr int kCount = 256 / kSpan;
  std::uint16_t d;  ///< f16
  std::int8_t scale[kCount];
  std::uint8_t code[256];

  explicit SymmetricFit(const float* x) {
    float wanted[kCount];
    for (int s = 0; s < kCount; ++s)
      wanted[s] = signed_max(x + kSpan * s, kSpan) / static_cast<float>(Grid::kLow);
    d = to_f16_saturating(signed_max(wanted, kCount) / static_cast<float>(kLowScale));
    for (int s = 0; s < kCount; ++s)
      scale[s] = static_cast<std::int8_t>(
          nearest(quotient(wanted[s], from_f16(d)), kLowScale, -kLowScale - 1));
    for (int i = 0; i < 256; ++i) {
      const float step = from_f16(d) * static_cast<float>(scale[i / kSpan]);
      code[i] = Grid::code(quotient(encodable(x[i]), step));
    }
  }
};

/// The integers kLowest..-kLowest-1, stored as code = value - kLowest.
template <int kLowest>
struct IntegerGrid {
  static constexpr int kLow = kLowest;
  static std::uint8_t code(float value) {
    return static_cast<std::uint8_t>(nearest(value, kLowest, -kLowest - 1) - kLowest);
  }
};

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
