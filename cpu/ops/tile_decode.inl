// Weights decoded to bf16 tiles, a piece at a time, for stripe_decoder.inl.
#include <bit>

#include "cpu/ops/tile_stripes.inl"
#include "cpu/quant/packed.inl"
#include "cpu/targets/tiles.inl"

#ifndef INGOT_CPU_TILE_DECODE_INL
#define INGOT_CPU_TILE_DECODE_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Decodes 16 interleaved rows to right operands, a quarter of a tile at a time. A copy belongs
/// into the loop that decodes: then its members are registers, where the compiler would make
/// constants anew for each piece, on the port that all shuffles need.
template <class P>
class DecodePacked {
 public:
  static constexpr std::int64_t kTiles = 1;  ///< of a unit
  static constexpr int kPieces = 4;          ///< of a unit, one after the other
  /// Of the interleaved rows' weights, on average.
  static constexpr std::int64_t kUnitBytes = packed_block_bytes<P>() / (P::kBlockColumns / 32);

  /// 32 columns of 16 rows.
  struct Unit {
    const std::byte* block = nullptr;
    int g = 0;
    Floats scale = {};  ///< of the columns of a piece
    Floats shift = {};
  };

  [[gnu::always_inline]] void start(Unit& unit, const WeightRows& rows, std::int64_t tile,
                                    std::int64_t) const {
    const auto at = static_cast<std::uint64_t>(tile);
    unit.block = rows.first + at / kGroups * packed_block_bytes<P>();
    unit.g = static_cast<int>(at % kGroups);
  }

  template <int kPiece>
  [[gnu::always_inline]] void piece(Unit& unit, std::uint16_t* out) const {
    constexpr int kSpans = 32 / P::kScaleSpan;
    constexpr int kQuads = 8 / kPieces;  // of columns
    const std::byte* const group = packed_group<P>(unit.block, unit.g);
    if constexpr (kPiece % (kPieces / kSpans) == 0) {
      constexpr int kSpan = kPiece * kSpans / kPieces;
      const typename P::Scales scales(unit.block, 0);
      unit.scale = (Floats)((Ints)(scales.template scale<kSpan>(unit.g) * kEnlarged) & kScaleBits);
      unit.shift =
          unit.scale * (kBase + P::kOffset) + scales.template min<kSpan>(unit.g) * kEnlarged;
    }
    const Floats scale = unit.scale;
    const Floats shift = unit.shift;
    unrolled<kQuads>([&](auto number) __attribute__((always_inline)) {
      constexpr int j = kPiece * kQuads + decltype(number)::kValue;
      const auto codes = (Ints)P::template code<j>(group, 0);
      const auto weight = [&](Floats placed) __attribute__((always_inline)) {
        return placed * scale - shift;
      };
      const Ints pair0 = pair_(weight(placed<0>(codes)), weight(placed<2>(codes)));
      const Ints pair1 = pair_(weight(placed<1>(codes)), weight(placed<3>(codes)));
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

  static constexpr int kGroups = P::kBlockColumns / 32;

  /// kBase + byte kFrom of each lane.
  template <int kFrom>
  [[gnu::always_inline]] Floats placed(Ints codes) const {
    if constexpr (kFrom == kByte) return (Floats)((codes & mask_) | base_);
    return (Floats)place_[kFrom](base_, codes);
  }

  Ints base_ = (Ints)broadcast(kBase);
  Ints mask_ = Ints{} + (0xff << 8 * kByte);
  WithBytes<1 << kByte> place_[4] = {{0}, {1 << 8 * kByte}, {2 << 8 * kByte}, {3 << 8 * kByte}};
  PairUppers pair_;
};

/// The same of 16 rows in the file's order, by way of f32 rows.
struct DecodeFile {
  static constexpr std::int64_t kTiles = kFileColumns / kTileColumns;
  static constexpr int kPieces = 1;
  static constexpr std::int64_t kUnitBytes = 0;  // not asked for: panels do it
  float* decoded;                                ///< [16, kFileColumns]

  struct Unit {
    std::int64_t tiles = 0;
  };

  void start(Unit& unit, const WeightRows& rows, std::int64_t first, std::int64_t count) const {
    unit.tiles = count;
    for (std::int64_t n = 0; n < kTileRows; ++n) {
      rows.format->panel(rows.first + n * rows.row_bytes + bytes_of(*rows.format, 32 * first),
                         32 * count, decoded + n * kFileColumns);
    }
  }

  template <int>
  void piece(const Unit& unit, std::uint16_t* out) const {
    const Ints row_at = Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} *
                        static_cast<std::int32_t>(kFileColumns);
    const Floats nan = broadcast(__builtin_nanf(""));
    for (std::int64_t k = 0; k < 32 * unit.tiles; k += 2) {
      const auto low = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k, 4);
      const auto high = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k + 1, 4);
      const Ints pair = pair_bf16(low == low ? low : nan, high == high ? high : nan);
      __builtin_memcpy(out + k / 32 * kStripeStep + k % 32 * 16, &pair, sizeof pair);
    }
  }
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_DECODE_INL
