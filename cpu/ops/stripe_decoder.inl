// Stripes of tile_product.inl: how they are decoded, and their weights asked for beforehand.
#include "cpu/ops/tile_decode.inl"

#ifndef INGOT_CPU_STRIPE_DECODER_INL
#define INGOT_CPU_STRIPE_DECODER_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Two places of as many bytes each that are asked for little by little.
class FetchEvenly {
 public:
  /// Whole lines. `steps`: how often advance() will be called.
  static std::int64_t per_step(std::int64_t bytes, std::int64_t steps) {
    return (bytes + 64 * steps - 1) / (64 * steps) * 64;
  }

  /// `second` may be null.
  void start(const std::byte* first, const std::byte* second, std::int64_t bytes,
             std::int64_t per_step) {
    at_ = first;
    second_ = second;
    bytes_ = left_ = bytes;
    per_step_ = per_step;
  }
  [[gnu::always_inline]] void advance() {
    if (left_ <= 0) return;
    fetch_later(at_, per_step_);
    at_ += per_step_;
    left_ -= per_step_;
    if (left_ > 0 || second_ == nullptr) return;
    at_ = second_;
    left_ = bytes_;
    second_ = nullptr;
  }

 private:
  const std::byte* at_ = nullptr;
  const std::byte* second_ = nullptr;
  std::int64_t bytes_ = 0;
  std::int64_t left_ = 0;
  std::int64_t per_step_ = 0;
};

/// A stripe on its way to tiles. A local object of the loop that decodes: pointers and scales that
/// stay in memory from part to part cost as much as a third of the decoding.
template <class Decode>
struct StripeDecoding {
  static constexpr int kParts = 4;  ///< of 32 columns

  Decode decode;
  WeightRows rows;                 ///< of the group that is being decoded
  const std::byte* first[2] = {};  ///< of each group
  const std::byte* later[2] = {};  ///< of each group, weights to ask for meanwhile; null: none
  std::uint16_t* out = nullptr;
  std::int64_t first_tile = 0;
  std::int64_t tiles = 0;
  int groups = 0;
  typename Decode::Unit unit = {};

  /// Part kPart of 32 columns, whose place is not needed any more, part by part.
  template <int kPart>
  [[gnu::always_inline]] void part(std::int64_t tile) {
    if constexpr (Decode::kTiles == 1) {
      constexpr int kPieces = Decode::kPieces / 2;
      constexpr int kGroup = kPart / 2;
      if (kGroup >= groups) return;
      if constexpr (kPart % 2 == 0) start(kGroup, tile, 1);
      pieces<kPart % 2 * kPieces, kPieces>(kGroup, tile);
    } else if constexpr (kPart == kParts - 1) {
      const std::int64_t begin = tile / Decode::kTiles * Decode::kTiles;
      const std::int64_t count = tile + 1 - begin;
      if (count < Decode::kTiles && tile + 1 < tiles) return;
      for (int g = 0; g < groups; ++g) {
        start(g, begin, count);
        pieces<0, Decode::kPieces>(g, begin);
      }
    }
  }

 private:
  [[gnu::always_inline]] void start(int group, std::int64_t tile, std::int64_t count) {
    rows.first = first[group];
    decode.start(unit, rows, first_tile + tile, count);
    if (Decode::kUnitBytes > 0 && later[group] != nullptr) {
      fetch_later(later[group] + tile * Decode::kUnitBytes, Decode::kUnitBytes);
    }
  }
  template <int kFirst, int kCount>
  [[gnu::always_inline]] void pieces(int group, std::int64_t tile) {
    std::uint16_t* const to = out + tile * kStripeStep + group * kTileHalves;
    unrolled<kCount>([&](auto i) __attribute__((always_inline)) {
      decode.template piece<kFirst + decltype(i)::kValue>(unit, to);
    });
  }
};

/// Beside how many products of 32 columns each something is decoded.
struct DecodeSteps {
  std::int64_t whole = 0;  ///< that decode 32 columns each
  std::int64_t half = 0;   ///< after them, an even number that decode half of 32 columns each
};

/// Decodes a stripe in the place of another, between the last products of that one and the first
/// ones of its own: columns that were multiplied are overwritten where the first-level cache has
/// them, little by little, so that decoding hides behind the products. Weights are asked for
/// between the products before, or, where these are few, while the stripe before is decoded.
template <class Decode>
class StripeDecoder {
 public:
  using Decoding = StripeDecoding<Decode>;

  /// `pairs`: of 16 activation rows, all of which are multiplied with each stripe. The first and
  /// the last ask for no weights: they decode.
  StripeDecoder(const Stripes& stripes, std::int64_t pairs, const WeightRows& weight,
                const Decode& decode, std::uint16_t* out)
      : stripes_(stripes),
        pairs_before_(pairs < kLeastPairs ? 0 : pairs - 2),
        decoding_{.decode = decode, .rows = weight, .out = out} {}

  /// A stripe that nobody asked for, at once.
  void decode(const Stripe& stripe) {
    for (int g = 0; g < stripe.groups; ++g) fetch_later(weights_of(stripe, g), bytes_of(stripe));
    begin(stripe);
    decode_rest();
  }

  /// Products with the stripe before begin, `steps` of each pair of rows.
  void start_fetching(const Stripe& stripe, std::int64_t steps) {
    if (pairs_before_ == 0) return;
    const std::int64_t bytes = bytes_of(stripe);
    fetch_.start(weights_of(stripe, 0), stripe.groups > 1 ? weights_of(stripe, 1) : nullptr, bytes,
                 FetchEvenly::per_step(stripe.groups * bytes, pairs_before_ * steps));
  }
  /// What asks for them, beside the products of 32 columns each.
  FetchEvenly& fetching() { return fetch_; }

  /// The last products with the stripe before begin, `steps` of them. `spreads`: its own first ones
  /// may decode what is left.
  DecodeSteps start(const Stripe& stripe, std::int64_t steps, bool spreads) {
    begin(stripe);
    const std::int64_t tiles = decoding_.tiles;
    spreads_ = spreads && Decode::kTiles == 1 && steps > 1;
    if (!spreads_) return {.whole = std::min(steps, tiles)};
    // So many whole ones that the others can all be halves.
    const std::int64_t whole =
        std::clamp<std::int64_t>(tiles + 2 - steps, 0, std::min(steps, tiles));
    return {.whole = whole, .half = 2 * std::min((steps - whole) / 2, tiles - whole)};
  }
  /// The first products with the stripe itself begin. They load operands one step ahead: nothing is
  /// left to the last two.
  DecodeSteps go_on() const {
    const std::int64_t left = decoding_.tiles - decoded_;
    const std::int64_t whole = std::clamp<std::int64_t>(2 * left - (decoding_.tiles - 2), 0, left);
    return {.whole = whole, .half = 2 * (left - whole)};
  }
  const Decoding& decoding() const { return decoding_; }

  /// Tiles that have been decoded, be it by a copy of decoding().
  std::int64_t decoded() const { return decoded_; }
  void skip_to(std::int64_t tiles) { decoded_ = tiles; }

  /// The products that start() was told of are done: what the stripe's own ones will not decode.
  void finish() {
    if (!spreads_) decode_rest();
  }

 private:
  [[gnu::noinline]] void decode_rest() {
    Decoding decoding = decoding_;
    for (; decoded_ < decoding.tiles; ++decoded_) {
      unrolled<Decoding::kParts>([&](auto i) __attribute__((always_inline)) {
        decoding.template part<decltype(i)::kValue>(decoded_);
      });
    }
  }

  void begin(const Stripe& stripe) {
    const Stripe later = stripes_.behind(stripe);
    const bool asks = pairs_before_ == 0 && later.groups > 0;
    for (int g = 0; g < 2; ++g) {
      decoding_.first[g] = stripes_.group(stripe, g).first;
      decoding_.later[g] = asks ? weights_of(later, g) : nullptr;
    }
    decoding_.first_tile = stripe.first_tile;
    decoding_.tiles = stripe.tiles;
    decoding_.groups = stripe.groups;
    decoded_ = 0;
  }

  /// Between the products of fewer rows, weights come in more than a few lines a step.
  static constexpr std::int64_t kLeastPairs = 5;

  const std::byte* weights_of(const Stripe& stripe, int g) const {
    return stripes_.group(stripe, g).first + stripe.first_tile * Decode::kUnitBytes;
  }
  static std::int64_t bytes_of(const Stripe& stripe) { return stripe.tiles * Decode::kUnitBytes; }

  const Stripes& stripes_;
  std::int64_t pairs_before_;  ///< pairs of rows beside whose products weights are asked for
  FetchEvenly fetch_;
  Decoding decoding_;
  std::int64_t decoded_ = 0;  ///< tiles
  bool spreads_ = false;      ///< the stripe's own products decode the rest
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_STRIPE_DECODER_INL
