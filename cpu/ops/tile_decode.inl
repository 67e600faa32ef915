// Weights decoded to bf16 tiles, little by little, for tile_product.inl.
#include "cpu/ops/tile_stripes.inl"
#include "cpu/quant/packed.inl"
#include "cpu/targets/tiles.inl"

#ifndef INGOT_CPU_TILE_DECODE_INL
#define INGOT_CPU_TILE_DECODE_INL

#if defined(__AMX_BF16__)

namespace ingot::cpu::INGOT_CPU_TARGET {

/// How far ahead of its use a weight is asked for: a tile of them is decoded in about 0.1 us, so
/// this is 1 us for 4-bit weights, time enough for memory.
inline constexpr std::int64_t kFetchBytes = 4096;

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

  /// The next weights lie `gap` bytes behind those of the tiles before `end`.
  void follow(std::int64_t end, std::int64_t gap) {
    fetch_end_ = end - kFetchBytes / kTileBytes;
    gap_ = gap;
  }

  void start(const WeightRows& rows, std::int64_t tile, std::int64_t) {
    const auto at = static_cast<std::uint64_t>(tile);
    block_ = rows.first + at / kGroups * packed_block_bytes<P>();
    g_ = static_cast<int>(at % kGroups);
    group_ = packed_group<P>(block_, g_);
    fetch_later(group_ + kFetchBytes + (tile < fetch_end_ ? 0 : gap_), kTileBytes);
  }

  template <int kPiece>
  [[gnu::always_inline]] void piece(std::uint16_t* out) {
    constexpr int kSpans = 32 / P::kScaleSpan;
    constexpr int kQuads = 8 / kPieces;  // of columns
    const std::byte* const group = group_;
    if constexpr (kPiece % (kPieces / kSpans) == 0) {
      const typename P::Scales scales(block_, 0);
      scale_ = scales.template scale<kPiece * kSpans / kPieces>(g_);
      shift_ = scale_ * (kBase + P::kOffset) + scales.template min<kPiece * kSpans / kPieces>(g_);
    }
    const Floats scale = scale_;
    const Floats shift = shift_;
    unrolled<kQuads>([&](auto number) __attribute__((always_inline)) {
      constexpr int j = kPiece * kQuads + decltype(number)::kValue;
      const auto codes = (Ints)P::template code<j>(group, 0);
      const auto weight = [&](Floats placed) __attribute__((always_inline)) {
        if constexpr (kIsExact) return placed * scale - shift;
        return (placed - (kBase + P::kOffset)) * scale;
      };
      const Ints pair0 = pair_bf16(weight(placed<0>(codes)), weight(placed<2>(codes)));
      const Ints pair1 = pair_bf16(weight(placed<1>(codes)), weight(placed<3>(codes)));
      __builtin_memcpy(out + 2 * j * 32, &pair0, sizeof pair0);
      __builtin_memcpy(out + (2 * j + 1) * 32, &pair1, sizeof pair1);
    });
  }

 private:
  // A code in the mantissa of a power of two is the float kBase + code, without a conversion: codes
  // of seven bits fit its first byte.
  static constexpr int kByte = P::kOffset < 64 ? 2 : 1;
  static constexpr float kBase = kByte == 2 ? 128 : 32768;
  // Whether kBase times a scale is: f16 times a K-quant's factor, 17 bits, times 32768 + 127 is
  // not.
  static constexpr bool kIsExact = kByte == 2 || P::kBlockColumns == 32;
  static_assert(kIsExact || !P::kHasMin);

  /// kBase + byte kFrom of each lane.
  template <int kFrom>
  [[gnu::always_inline]] static Floats placed(Ints codes) {
    const auto base = (Ints)broadcast(kBase);
    if constexpr (kFrom == kByte) return (Floats)((codes & 0xff << 8 * kByte) | base);
    return (Floats)with_bytes<1 << kByte>(base, codes, kFrom << 8 * kByte);
  }

  static constexpr int kGroups = P::kBlockColumns / 32;
  static constexpr std::int64_t kTileBytes = packed_block_bytes<P>() / kGroups;

  const std::byte* block_ = nullptr;  ///< of the tile
  const std::byte* group_ = nullptr;
  int g_ = 0;
  Floats scale_ = {};  ///< of the columns of this piece
  Floats shift_ = {};
  std::int64_t fetch_end_ = 0;  ///< tile whose later weights are beyond the stripe
  std::int64_t gap_ = 0;
};

/// The same of 16 rows in the file's order, by way of f32 rows.
struct DecodeFile {
  static constexpr std::int64_t kTiles = kFileColumns / kTileColumns;
  static constexpr int kPieces = 1;
  float* decoded;          ///< [16, kFileColumns]
  std::int64_t tiles = 0;  ///< of the unit

  static void follow(std::int64_t, std::int64_t) {}

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

/// Decodes a stripe little by little, between the products of the stripe before it.
template <class Decode>
class StripeDecoder {
 public:
  StripeDecoder(const Stripes& stripes, const WeightRows& weight, const Decode& decode)
      : stripes_(stripes), rows_(weight), decode_(decode) {}

  /// `steps`: how often advance() will be called.
  void start(const Stripe& stripe, std::uint16_t* out, std::int64_t steps) {
    stripe_ = stripe;
    for (int g = 0; g < stripe.groups; ++g) first_[g] = stripes_.group(stripe, g).first;
    out_ = out;
    tile_ = 0;
    group_ = 0;
    piece_ = 0;
    decode_.follow(stripe.first_tile + stripe.tiles, stripes_.gap(stripe));
    const std::int64_t units = (stripe.tiles + Decode::kTiles - 1) / Decode::kTiles * stripe.groups;
    pieces_per_step_ = (units * Decode::kPieces + steps - 1) / steps;
  }

  /// Whether the next kPieces steps decode a piece each of one tile: step() then knows which.
  bool is_even() const {
    return Decode::kPieces == 4 && piece_ == 0 && pieces_per_step_ == 1 && tile_ < stripe_.tiles;
  }
  template <int kPiece>
  [[gnu::always_inline]] void step() {
    if constexpr (kPiece == 0) start_unit();
    decode_.template piece<kPiece>(to_);
    if constexpr (kPiece == Decode::kPieces - 1) next_unit();
  }

  void advance() {
    std::int64_t pieces = pieces_per_step_;
    if (piece_ == 0) {
      for (; pieces >= Decode::kPieces && tile_ < stripe_.tiles; pieces -= Decode::kPieces) unit();
    }
    for (; pieces > 0 && tile_ < stripe_.tiles; --pieces) next_piece();
  }
  void finish() {
    while (piece_ != 0) next_piece();
    while (tile_ < stripe_.tiles) unit();
  }

 private:
  void start_unit() {
    const std::int64_t left = stripe_.tiles - tile_;
    rows_.first = first_[group_];
    decode_.start(rows_, stripe_.first_tile + tile_, left < Decode::kTiles ? left : Decode::kTiles);
    to_ = out_ + tile_ * kStripeStep + group_ * kTileHalves;
  }

  [[gnu::noinline]] void next_piece() {
    if (piece_ == 0) start_unit();
    unrolled<Decode::kPieces>([&](auto number) __attribute__((always_inline)) {
      if (piece_ == decltype(number)::kValue) decode_.template piece<decltype(number)::kValue>(to_);
    });
    if (++piece_ == Decode::kPieces) {
      piece_ = 0;
      next_unit();
    }
  }

  // Without asking for each piece which one it is.
  [[gnu::noinline]] void unit() {
    start_unit();
    unrolled<Decode::kPieces>([&](auto number) __attribute__((always_inline)) {
      decode_.template piece<decltype(number)::kValue>(to_);
    });
    next_unit();
  }

  void next_unit() {
    if (++group_ < stripe_.groups) return;
    group_ = 0;
    tile_ += Decode::kTiles;
  }

  const Stripes& stripes_;
  WeightRows rows_;  ///< of the group that is being decoded
  Decode decode_;
  Stripe stripe_ = {};
  const std::byte* first_[2] = {};  ///< of each group
  std::uint16_t* out_ = nullptr;    ///< of the stripe
  std::uint16_t* to_ = nullptr;     ///< of the unit
  std::int64_t tile_ = 0;
  int group_ = 0;
  int piece_ = 0;
  std::int64_t pieces_per_step_ = 0;
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_DECODE_INL
