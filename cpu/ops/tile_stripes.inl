// How a task of tile_product.inl is cut up: in which order weights are decoded and multiplied, and
// where results go.
#include "cpu/ops/tile_product.hpp"
#include "cpu/targets/tiles.inl"

#ifndef INGOT_CPU_TILE_STRIPES_INL
#define INGOT_CPU_TILE_STRIPES_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// A decoded stripe is [32 columns][2] tiles of 16 weight rows: halves from 32 columns to the next.
inline constexpr std::int64_t kStripeStep = 2 * kTileHalves;

/// Columns of a task that are summed without leaving the tiles, in tiles: the fewest slabs that
/// `most` columns allow, all about as wide.
inline std::int64_t slab_tiles(std::int64_t tiles, std::int64_t most) {
  constexpr std::int64_t kWhole = kFileColumns / kTileColumns;
  const std::int64_t count = (tiles * kTileColumns + most - 1) / most;
  return ((tiles + count - 1) / count + kWhole - 1) / kWhole * kWhole;
}

struct Stripe {
  std::int64_t first_tile;
  std::int64_t tiles;
  std::int64_t number;     ///< of its rows, in the task
  std::int64_t place;      ///< in its slab
  std::int64_t next_slab;  ///< first tile of the slab behind; none has it at the end
  int groups;              ///< of 16 rows: 2, or 1 at the end, 0 behind it
};

/// 16 weight rows and where their results go.
struct TileGroup {
  const std::byte* first = nullptr;
  const float* bias = nullptr;  ///< null: none
  float* out = nullptr;         ///< first row
};

/// The stripes of a task, slab by slab of so many rows that the second-level cache keeps their
/// sums: of one stripe's where it keeps all activations. The two groups of a stripe are neighbours,
/// or the same rows of gate and up.
class Stripes {
 public:
  explicit Stripes(const TileProduct& task)
      : all_tiles(task.weight.columns / kTileColumns),
        slab(slab_tiles(all_tiles, kSlabColumns)),
        keeps_activations(cpu::keeps_activations(task.rows, task.weight.columns)),
        row_bytes_(task.weight.row_bytes),
        step_(task.glu.up == nullptr ? kStripeRows : kTileRows),
        groups_(task.weight.rows / step_ * 2 + task.weight.rows % step_ / kTileRows),
        begin_{{task.weight.first, task.bias, task.out},
               {task.glu.up, task.glu.up_bias, task.out}} {
    if (task.glu.up == nullptr) begin_[1] = rows_behind(begin_[0], kTileRows);
    stripes_ = (groups_ + 1) / 2;
    per_slab = keeps_activations ? 1 : std::min(stripes_, kSlabRows / kStripeRows);
  }

  Stripe first() const { return at(0, 0, 0); }

  /// Without groups behind the last one. Counted, not worked out from a number: divisions would
  /// hold up the products.
  Stripe behind(const Stripe& stripe) const {
    const std::int64_t before = stripe.number - stripe.place;
    if (stripe.place + 1 < together(before)) {
      return at(before, stripe.place + 1, stripe.first_tile);
    }
    if (!is_last(stripe)) return at(before, 0, stripe.first_tile + slab);
    return at(before + together(before), 0, 0);
  }

  /// Whether its sums are finished.
  bool is_last(const Stripe& stripe) const { return stripe.first_tile + slab >= all_tiles; }

  TileGroup group(const Stripe& stripe, int g) const {
    return rows_behind(begin_[g], stripe.number * step_);
  }

  std::int64_t all_tiles;
  std::int64_t slab;
  bool keeps_activations;     ///< of all slabs
  std::int64_t per_slab = 0;  ///< stripes, or fewer at the end

 private:
  /// How many of the stripes from `before` on are multiplied slab by slab.
  std::int64_t together(std::int64_t before) const { return std::min(per_slab, stripes_ - before); }
  Stripe at(std::int64_t before, std::int64_t place, std::int64_t tile) const {
    const bool is_last = tile + slab >= all_tiles;
    const std::int64_t number = before + place;
    return {.first_tile = tile,
            .tiles = is_last ? all_tiles - tile : slab,
            .number = number,
            .place = place,
            .next_slab = is_last && before + together(before) < stripes_ ? 0 : tile + slab,
            .groups = static_cast<int>(std::clamp<std::int64_t>(groups_ - 2 * number, 0, 2))};
  }

  TileGroup rows_behind(const TileGroup& group, std::int64_t rows) const {
    return {group.first + rows * row_bytes_, group.bias == nullptr ? nullptr : group.bias + rows,
            group.out + rows};
  }

  std::int64_t stripes_ = 0;  ///< as if there were one slab
  std::int64_t row_bytes_;
  std::int64_t step_;  ///< rows of a weight from a stripe to the next
  std::int64_t groups_;
  TileGroup begin_[2];
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_STRIPES_INL
