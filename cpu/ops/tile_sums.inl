// Sums in AMX tiles: up to 2 x 2 of them, for tile_product.inl.
#include "cpu/ops/tile_stripes.inl"

#ifndef INGOT_CPU_TILE_SUMS_INL
#define INGOT_CPU_TILE_SUMS_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline constexpr std::int64_t kSumTile = 256;  // floats

// A tile is part of an instruction: its number must be written out.
template <int kTile>
[[gnu::always_inline]] inline void store_tile(float* to) {
  if constexpr (kTile == 0) _tile_stored(0, to, 64);
  if constexpr (kTile == 1) _tile_stored(1, to, 64);
  if constexpr (kTile == 2) _tile_stored(2, to, 64);
  if constexpr (kTile == 3) _tile_stored(3, to, 64);
}
template <int kTile>
[[gnu::always_inline]] inline void load_tile(const float* from, std::size_t stride) {
  if constexpr (kTile == 0) _tile_stream_loadd(0, from, stride);
  if constexpr (kTile == 1) _tile_stream_loadd(1, from, stride);
  if constexpr (kTile == 2) _tile_stream_loadd(2, from, stride);
  if constexpr (kTile == 3) _tile_stream_loadd(3, from, stride);
}
template <int kTile>
[[gnu::always_inline]] inline void zero_tile() {
  if constexpr (kTile == 0) _tile_zero(0);
  if constexpr (kTile == 1) _tile_zero(1);
  if constexpr (kTile == 2) _tile_zero(2);
  if constexpr (kTile == 3) _tile_zero(3);
}

// Operands: left ones are tiles 4 and 5, right ones 6 and 7; sums of left m and right n are tile
// 2 m + n.
template <int kLeft>
[[gnu::always_inline]] inline void load_left(const std::uint16_t* from) {
  if constexpr (kLeft == 0) _tile_stream_loadd(4, from, 64);
  if constexpr (kLeft == 1) _tile_stream_loadd(5, from, 64);
}
template <int kRight>
[[gnu::always_inline]] inline void load_right(const std::uint16_t* from) {
  if constexpr (kRight == 0) _tile_loadd(6, from, 64);
  if constexpr (kRight == 1) _tile_loadd(7, from, 64);
}
template <int kTile>
[[gnu::always_inline]] inline void multiply_add_tile() {
  if constexpr (kTile == 0) _tile_dpbf16ps(0, 4, 6);
  if constexpr (kTile == 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTile == 2) _tile_dpbf16ps(2, 5, 6);
  if constexpr (kTile == 3) _tile_dpbf16ps(3, 5, 7);
}

/// kM x kN tiles of sums over `tiles` times 32 columns.
struct TileRun {
  const std::uint16_t* left = nullptr;   ///< a tile per 32 columns
  std::int64_t left_stride = 0;          ///< halves from 16 rows to the next
  const std::uint16_t* right = nullptr;  ///< of a stripe
  std::int64_t tiles = 0;
  const float* before[2] = {};   ///< of each group of 16 columns, sums so far; null: zero
  std::int64_t before_row = 0;   ///< floats from row to row: 0 repeats one row, a bias
  std::int64_t before_left = 0;  ///< floats from 16 rows to the next
  float* after = nullptr;        ///< [kM][2] tiles

  /// To the operands of the next 32 columns.
  [[gnu::always_inline]] void next() {
    left += kTileHalves;
    right += kStripeStep;
  }
};

/// Sums of run after run. A tile that is stored right behind its last product holds up the products
/// that follow, so the sums of a run stay in the tiles until those of the next take their place.
class TileSums {
 public:
  explicit TileSums(float* unread) : unread_(unread) {}

  /// `beside` does other work after each 32 columns: BesideProducts.
  template <class Beside>
  void add(const TileRun& run, bool two_left, bool two_right, Beside& beside) {
    if (two_left != two_left_ || two_right != two_right_) store();
    two_left_ = two_left;
    two_right_ = two_right;
    if (two_left) {
      two_right ? add<2, 2>(run, beside) : add<2, 1>(run, beside);
    } else {
      two_right ? add<1, 2>(run, beside) : add<1, 1>(run, beside);
    }
  }

  /// Stores the sums of the last run.
  void store() {
    if (after_ == nullptr) return;
    store_tile<0>(after_);
    if (two_right_) store_tile<1>(after_ + kSumTile);
    if (two_left_) store_tile<2>(after_ + 2 * kSumTile);
    if (two_left_ && two_right_) store_tile<3>(after_ + 3 * kSumTile);
    after_ = nullptr;
  }

 private:
  template <int kTile>
  [[gnu::always_inline]] void exchange(const TileRun& run) {
    if (continues_) return;
    if (after_ != nullptr) store_tile<kTile>(after_ + kTile * kSumTile);
    const float* before = run.before[kTile % 2];
    if (before == nullptr) return zero_tile<kTile>();
    load_tile<kTile>(before + kTile / 2 * run.before_left,
                     static_cast<std::size_t>(run.before_row) * sizeof(float));
  }

  // The products of 32 columns. Operands of the next step are loaded between them, each as soon as
  // its place is free. Neighbours share an operand: a product that changes both costs power, and so
  // clock. `behind` is called behind the first, second ... product. `at`: the run, its operands
  // those of this step. `has_more`: steps of the run.
  template <int kM, int kN, class Behind>
  [[gnu::always_inline]] void step(const TileRun& at, bool is_first, bool has_more,
                                   const Behind& behind) {
    if (is_first) {
      exchange<0>(at);
      load_right<0>(at.right);
      load_left<0>(at.left);
    }
    multiply_add_tile<0>();
    behind(Constant<0>{});
    if constexpr (kN > 1) {
      if (is_first) {
        load_right<1>(at.right + kTileHalves);
        exchange<1>(at);
      }
      multiply_add_tile<1>();
      behind(Constant<1>{});
    }
    if (kM > 1 && is_first) load_left<1>(at.left + at.left_stride);
    if (has_more) load_left<0>(at.left + kTileHalves);
    if constexpr (kM > 1 && kN > 1) {
      if (is_first) exchange<3>(at);
      multiply_add_tile<3>();
    }
    if (kN > 1 && has_more) load_right<1>(at.right + kStripeStep + kTileHalves);
    if constexpr (kM > 1 && kN > 1) behind(Constant<2>{});
    if constexpr (kM > 1) {
      if (is_first) exchange<2>(at);
      multiply_add_tile<2>();
    }
    if (has_more) load_right<0>(at.right + kStripeStep);
    if (kM > 1 && has_more) load_left<1>(at.left + kTileHalves + at.left_stride);
    if constexpr (kM > 1) behind(Constant<kM * kN - 1>{});
  }

  template <int kM, int kN, class Beside>
  void add(const TileRun& run, Beside& beside) {
    // One pair of rows after the other: the sums stay. A store of a tile takes 0.3 us more if there
    // was none for half a microsecond, which is 20 steps: one that nobody reads saves that.
    continues_ = after_ != nullptr && after_ == run.before[0];
    if (continues_) _tile_stored(6, unread_, 64);
    static_assert(kSlabColumns / kTileColumns < 20);
    // Copies, in registers: state in memory costs every step.
    auto writer = beside.writer;
    auto activations = beside.activations;
    TileRun at = run;
    const std::int64_t tiles = run.tiles;
    std::int64_t k = 0;
    if (beside.decodes.whole + beside.decodes.half > 0) {
      auto decoding = beside.decoder.decoding();
      std::int64_t unit = beside.decoder.decoded();
      // The products of 32 columns, and kCount parts of a unit from kFirst on: evenly behind them.
      const auto decode_beside = [&]<int kFirst, int kCount>() __attribute__((always_inline)) {
        step<kM, kN>(
            at, k == 0, k + 1 < tiles, [&](auto product) __attribute__((always_inline)) {
              constexpr int kProduct = decltype(product)::kValue;
              constexpr int kProducts = kM * kN;
              constexpr int kBefore = (kCount * kProduct + kProducts - 1) / kProducts;
              constexpr int kBehind = (kCount * (kProduct + 1) + kProducts - 1) / kProducts;
              unrolled<kBehind - kBefore>([&](auto i) __attribute__((always_inline)) {
                decoding.template part<kFirst + kBefore + decltype(i)::kValue>(unit);
              });
            });
        at.next();
        activations.advance();
        writer.step();
        ++k;
      };
      constexpr int kAll = decltype(decoding)::kParts;
      for (const std::int64_t end = k + beside.decodes.whole; k < end; ++unit) {
        decode_beside.template operator()<0, kAll>();
      }
      // multiply_tiles() spreads the decoding of whole pairs of row tiles and groups only: other
      // products have no loop for it.
      if constexpr (kM * kN == 4) {
        for (const std::int64_t end = k + beside.decodes.half; k < end; ++unit) {
          decode_beside.template operator()<0, kAll / 2>();
          decode_beside.template operator()<kAll / 2, kAll / 2>();
        }
      }
      beside.decoder.skip_to(unit);
    }
    auto weights = beside.decoder.fetching();
    // Results are written behind the second product: in the first step, the sums of the run before
    // are half stored by then.
    constexpr int kWritten = kM * kN > 1 ? 1 : 0;
    for (; k < tiles; ++k) {
      step<kM, kN>(
          at, k == 0, k + 1 < tiles, [&](auto product) __attribute__((always_inline)) {
            if constexpr (decltype(product)::kValue == kWritten) writer.step();
          });
      at.next();
      activations.advance();
      weights.advance();
    }
    beside.decoder.fetching() = weights;
    beside.writer.go_on(writer);
    after_ = run.after;
  }

  float* unread_;           ///< a tile
  float* after_ = nullptr;  ///< where the sums in the tiles belong; null: nowhere
  bool continues_ = false;  ///< the run adds to the sums in the tiles
  bool two_left_ = false;   ///< of the last run
  bool two_right_ = false;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_SUMS_INL
