// A panel of weights decoded to integers of 16 bits, for the products of many rows without matrix
// units (integer_panels.inl).
#include "cpu/ops/integer_panels.hpp"
#include "cpu/quant/packed.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if !defined(__AMX_BF16__) && !defined(INGOT_CPU_INTEGER_PANEL_INL)
#define INGOT_CPU_INTEGER_PANEL_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Vectors of weights that are multiplied together, and lie side by side for it.
inline constexpr int kVectorsTogether = 2;

/// How a format's weights become integers. Sub-scales of a block are multiplied into its codes
/// where the products of as many columns as share one cannot overflow 32 bits: the whole block then
/// shares one scale.
template <class P>
struct IntegerForm {
  static constexpr bool fits(int columns) {
    if constexpr (P::kBlockColumns == kIntegerPanelColumns) {
      return std::int64_t{P::kLargest} * kLargestActivation * columns <= 0x7fffffff;
    } else {
      return false;  // no sub-scales
    }
  }
  static constexpr bool kOneScale = fits(P::kScaleSpan);
  /// Columns whose products are added up as integers.
  static constexpr int kSumColumns = kOneScale && fits(32) ? 32 : P::kScaleSpan;
  static_assert(kOneScale || P::kScaleSpan == 32);
  static constexpr int kMins = P::kHasMin ? 32 / P::kScaleSpan : 0;  ///< per 32 columns
};

/// A decoded panel. Vector v of 16-bit integers holds two neighbouring columns of kLanes weight
/// rows; kVectorsTogether of them lie side by side, and so do their scales and mins.
struct IntegerPanel {
  static constexpr int kPairs = kIntegerPanelColumns / 2;
  static constexpr int kScales = kIntegerPanelColumns / 32;
  static constexpr int kMins = kIntegerPanelColumns / 16;

  explicit IntegerPanel(float* at)
      : integers(reinterpret_cast<std::int16_t*>(at)),
        scales(at + kIntegerPanelRows * kPairs),
        mins(scales + kIntegerPanelRows * kScales),
        sums(mins + kIntegerPanelRows * kMins) {}

  /// Place `at` of the `count` that vector `v` has.
  static std::int64_t place(int v, int at, int count) {
    return ((v / kVectorsTogether * count + at) * kVectorsTogether + v % kVectorsTogether) * kLanes;
  }
  std::int16_t* pair(int v, int at) const { return integers + 2 * place(v, at, kPairs); }
  float* scale(int v, int at) const { return scales + place(v, at, kScales); }
  float* min(int v, int at) const { return mins + place(v, at, kMins); }

  std::int16_t* integers;
  float* scales;
  float* mins;
  float* sums;  ///< [activation rows, kIntegerPanelRows] before this panel
};

/// Decodes `groups` times 32 columns of the 16 rows that begin with `block`, as the panel's vectors
/// from `first_vector` on.
template <class P>
inline void decode_integers(const std::byte* block, int groups, int first_vector,
                            const IntegerPanel& panel) {
  using Form = IntegerForm<P>;
  constexpr int kGroups = P::kBlockColumns / 32;
  constexpr int kSpans = 32 / P::kScaleSpan;
  for (int at = 0; at < groups; at += kGroups, block += packed_block_bytes<P>()) {
    for (int part = 0; part < kParts; ++part) {
      const int v = first_vector + part;
      const typename P::Scales scales(block, part);
      if constexpr (Form::kOneScale) store(panel.scale(v, 0), scales.d);
      for (int g = 0; g < kGroups; ++g) {
        const std::byte* group = packed_group<P>(block, g);
        unrolled<kSpans>([&](auto span) __attribute__((always_inline)) {
          constexpr int kSpan = decltype(span)::kValue;
          [[maybe_unused]] Shorts factor;
          if constexpr (Form::kOneScale) {
            const Ints f = scales.template factor<kSpan>(g);
            factor = (Shorts)((f & 0xffff) | f << 16);
          } else {
            store(panel.scale(v, at + g), scales.template scale<kSpan>(g));
          }
          if constexpr (P::kHasMin) {
            store(panel.min(v, (at + g) * kSpans + kSpan), scales.template min<kSpan>(g));
          }
          const auto put = [&](int pair, UnsignedShorts codes) __attribute__((always_inline)) {
            Shorts integers = (Shorts)codes - static_cast<std::int16_t>(P::kOffset);
            if constexpr (Form::kOneScale) integers *= factor;
            __builtin_memcpy(panel.pair(v, 16 * (at + g) + pair), &integers, sizeof integers);
          };
          unrolled<8 / kSpans>([&](auto number) __attribute__((always_inline)) {
            constexpr int j = kSpan * 8 / kSpans + decltype(number)::kValue;
            const auto codes = (UnsignedShorts)P::template code<j>(group, part);
            put(2 * j, codes & 0xff);
            put(2 * j + 1, codes >> 8);
          });
        });
      }
    }
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // !__AMX_BF16__
