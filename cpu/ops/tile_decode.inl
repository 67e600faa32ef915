// Weights decoded to bf16 tiles, little by little, for tile_product.inl.
#include <bit>

#include "cpu/ops/tile_stripes.inl"
#include "cpu/quant/packed.inl"
#include "cpu/targets/tiles.inl"

#ifndef INGOT_CPU_TILE_DECODE_INL
#define INGOT_CPU_TILE_DECODE_INL

#if defined(__AMX_BF16__)

namespace ingot::cpu::INGOT_CPU_TARGET {

/// Brings `bytes` from `from` on into the second-level cache; they need not exist.
inline void fetch_later(const std::byte* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

/// Decodes 16 interleaved rows to right operands, a quarter of a tile at a time.
template <class P>
class DecodePacked {
 public:
  static constexpr std::int64_t kTiles = 1;  ///< of a unit
  static constexpr int kPieces = 4;          ///< of a unit, one after the other
  /// Of the interleaved rows' weights, on average.
  static constexpr std::int64_t kUnitBytes = packed_block_bytes<P>() / (P::kBlockColumns / 32);

  void start(const WeightRows& rows, std::int64_t tile, std::int64_t) {
    const auto at = static_cast<std::uint64_t>(tile);
    block_ = rows.first + at / kGroups * packed_block_bytes<P>();
    g_ = static_cast<int>(at % kGroups);
    group_ = packed_group<P>(block_, g_);
  }

  template <int kPiece>
  [[gnu::always_inline]] void piece(std::uint16_t* out) {
    constexpr int kSpans = 32 / P::kScaleSpan;
    constexpr int kQuads = 8 / kPieces;  // of columns
    const std::byte* const group = group_;
    if constexpr (kPiece % (kPieces / kSpans) == 0) {
      constexpr int kSpan = kPiece * kSpans / kPieces;
      const typename P::Scales scales(block_, 0);
      scale_ = (Floats)((Ints)(scales.template scale<kSpan>(g_) * kEnlarged) & kScaleBits);
      shift_ = scale_ * (kBase + P::kOffset) + scales.template min<kSpan>(g_) * kEnlarged;
    }
    const Floats scale = scale_;
    const Floats shift = shift_;
    unrolled<kQuads>([&](auto number) __attribute__((always_inline)) {
      constexpr int j = kPiece * kQuads + decltype(number)::kValue;
      const auto codes = (Ints)P::template code<j>(group, 0);
      const auto weight = [&](Floats placed) __attribute__((always_inline)) {
        return placed * scale - shift;
      };
      const Ints pair0 = pair_uppers(weight(placed<0>(codes)), weight(placed<2>(codes)));
      const Ints pair1 = pair_uppers(weight(placed<1>(codes)), weight(placed<3>(codes)));
      __builtin_memcpy(out + 2 * j * 32, &pair0, sizeof pair0);
      __builtin_memcpy(out + (2 * j + 1) * 32, &pair1, sizeof pair1);
    });
  }

 private:
  // A code in the mantissa of a power of two is the float kBase + code, without a conversion: codes
  // of seven bits fit its first byte.
  static constexpr int kByte = P::kOffset < 64 ? 2 : 1;
  static constexpr float kBase = kByte == 2 ? 128 : 32768;
  // Weights are enlarged and cut to bf16: as good as rounded (docs/numerics.md), without the
  // additions. A number m of [1, 2) loses half a unit of 2^-7 on average, and enlarging gives
  // 128 m / 384 units back, which is as much where m is as frequent as 1 / m. What is a bf16 stays
  // what it is.
  static constexpr float kEnlarged = 1.0F + 1.0F / 384;
  // A scale gives up as many bits as make it exact times kBase + kOffset, so that a code of kOffset
  // is zero: none where that is a power of two, as it is where there are mins.
  static constexpr auto kZero = static_cast<unsigned>(kBase) + P::kOffset;
  static constexpr unsigned kOdd = kZero >> std::countr_zero(kZero);
  static constexpr std::int32_t kScaleBits = kOdd == 1 ? ~0 : ~0 << std::bit_width(kOdd);
  static_assert(kOdd == 1 || !P::kHasMin);

  /// kBase + byte kFrom of each lane.
  template <int kFrom>
  [[gnu::always_inline]] static Floats placed(Ints codes) {
    const auto base = (Ints)broadcast(kBase);
    if constexpr (kFrom == kByte) return (Floats)((codes & 0xff << 8 * kByte) | base);
    return (Floats)with_bytes<1 << kByte>(base, codes, kFrom << 8 * kByte);
  }

  static constexpr int kGroups = P::kBlockColumns / 32;

  const std::byte* block_ = nullptr;  ///< of the tile
  const std::byte* group_ = nullptr;
  int g_ = 0;
  Floats scale_ = {};  ///< of the columns of this piece
  Floats shift_ = {};
};

/// The same of 16 rows in the file's order, by way of f32 rows.
struct DecodeFile {
  static constexpr std::int64_t kTiles = kFileColumns / kTileColumns;
  static constexpr int kPieces = 1;
  static constexpr std::int64_t kUnitBytes = 0;  // not asked for: panels do it
  float* decoded;                                ///< [16, kFileColumns]
  std::int64_t tiles = 0;                        ///< of the unit

  void start(const WeightRows& rows, std::int64_t first, std::int64_t count) {
    tiles = count;
    for (std::int64_t n = 0; n < kTileRows; ++n) {
      rows.format->panel(rows.first + n * rows.row_bytes + bytes_of(*rows.format, 32 * first),
                         32 * tiles, decoded + n * kFileColumns);
    }
  }

  template <int>
  void piece(std::uint16_t* out) const {
    const Ints row_at = Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} *
                        static_cast<std::int32_t>(kFileColumns);
    const Floats nan = broadcast(__builtin_nanf(""));
    for (std::int64_t k = 0; k < 32 * tiles; k += 2) {
      const auto low = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k, 4);
      const auto high = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k + 1, 4);
      const Ints pair = pair_bf16(low == low ? low : nan, high == high ? high : nan);
      __builtin_memcpy(out + k / 32 * kStripeStep + k % 32 * 16, &pair, sizeof pair);
    }
  }
};

/// Decodes a stripe in the place of another, between the last products of that one: columns that
/// were multiplied are overwritten where the first-level cache has them. Meanwhile the weights of
/// the stripe after it are asked for.
template <class Decode>
class StripeDecoder {
 public:
  static constexpr int kParts = 4;  ///< of what is decoded after 32 columns

  StripeDecoder(const Stripes& stripes, const WeightRows& weight, const Decode& decode,
                std::uint16_t* out)
      : stripes_(stripes), rows_(weight), decode_(decode), out_(out) {}

  void start(std::int64_t stripe) {
    stripe_ = stripes_[stripe];
    tile_ = 0;
    passed_ = 0;
    const bool has_next = stripe + 1 < stripes_.count;
    const Stripe next = stripes_[has_next ? stripe + 1 : stripe];
    for (int g = 0; g < 2; ++g) {
      first_[g] = stripes_.group(stripe_, g).first;
      next_[g] = has_next ? weights_of(next, g) : nullptr;
    }
  }

  /// Of 32 columns each, that are not decoded yet.
  std::int64_t steps() const { return stripe_.tiles - passed_; }

  /// Part kPart of a step: 32 columns are not needed any more, part by part.
  template <int kPart>
  [[gnu::always_inline]] void part() {
    constexpr int kPieces = Decode::kPieces / 2;
    constexpr int kGroup = kPart / 2;
    if constexpr (Decode::kTiles == 1) {
      if (kGroup < stripe_.groups) {
        if constexpr (kPart % 2 == 0) start_unit(kGroup);
        unrolled<kPieces>([&](auto i) __attribute__((always_inline)) {
          decode_.template piece<kPart % 2 * kPieces + decltype(i)::kValue>(to_);
        });
      }
    }
    if constexpr (kPart == kParts - 1) {
      ++passed_;
      if constexpr (Decode::kTiles == 1) {
        tile_ = passed_;
      } else if (passed_ - tile_ == Decode::kTiles || passed_ == stripe_.tiles) {
        units();
      }
    }
  }
  [[gnu::noinline]] void step() {
    unrolled<kParts>([&](auto i) __attribute__((always_inline)) { part<decltype(i)::kValue>(); });
  }
  void finish() {
    while (steps() > 0) step();
  }

  /// Asks for the weights of a stripe that nobody has asked for.
  void fetch(std::int64_t stripe) const {
    const Stripe wanted = stripes_[stripe];
    for (int g = 0; g < wanted.groups; ++g) {
      fetch_later(weights_of(wanted, g), wanted.tiles * Decode::kUnitBytes / Decode::kTiles);
    }
  }

 private:
  const std::byte* weights_of(const Stripe& stripe, int g) const {
    return stripes_.group(stripe, g).first + stripe.first_tile * Decode::kUnitBytes;
  }

  void start_unit(int group) {
    const std::int64_t left = stripe_.tiles - tile_;
    rows_.first = first_[group];
    decode_.start(rows_, stripe_.first_tile + tile_, left < Decode::kTiles ? left : Decode::kTiles);
    to_ = out_ + tile_ * kStripeStep + group * kTileHalves;
    if (Decode::kUnitBytes > 0 && next_[group] != nullptr) {
      fetch_later(next_[group] + tile_ * Decode::kUnitBytes, Decode::kUnitBytes);
    }
  }

  void units() {
    for (int g = 0; g < stripe_.groups; ++g) {
      start_unit(g);
      unrolled<Decode::kPieces>([&](auto i) __attribute__((always_inline)) {
        decode_.template piece<decltype(i)::kValue>(to_);
      });
    }
    tile_ = passed_;
  }

  const Stripes& stripes_;
  WeightRows rows_;  ///< of the group that is being decoded
  Decode decode_;
  std::uint16_t* out_;
  Stripe stripe_ = {};
  const std::byte* first_[2] = {};  ///< of each group
  const std::byte* next_[2] = {};   ///< of each group, weights of the stripe behind; null: none
  std::uint16_t* to_ = nullptr;     ///< of the unit
  std::int64_t tile_ = 0;           ///< of the unit
  std::int64_t passed_ = 0;         ///< tiles whose places are free
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_DECODE_INL
