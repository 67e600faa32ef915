// Finished sums of tile products on their way to memory, little by little, for tile_product.inl.
#include "cpu/ops/elementwise.inl"
#include "cpu/ops/tile_sums.inl"

#ifndef INGOT_CPU_TILE_RESULTS_INL
#define INGOT_CPU_TILE_RESULTS_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Finished sums of 32 rows x 2 groups of 16 columns, or fewer.
struct FinishedSums {
  const float* tiles;  ///< [2 row tiles][2 groups]
  const TileGroup (&to)[2];
  int groups;
  std::int64_t stripe;     ///< its number
  std::int64_t first_row;  ///< of the task
  std::int64_t rows;
};

/// Results for a later kernel go past the caches: a store into them would fetch the line first, and
/// products would wait for it.
class PlainRows {
 public:
  explicit PlainRows(const TileProduct& task)
      : stride_(task.out_stride), past_caches_(!task.reused) {}

  /// Rows that write() is called for.
  std::int64_t start(const FinishedSums& sums) {
    for (int g = 0; g < 2; ++g) to_[g] = sums.to[g].out + sums.first_row * stride_;
    groups_ = sums.groups;
    return sums.rows;
  }
  [[gnu::always_inline]] void write(const float* sums, std::int64_t row) const {
    const Floats first = load(sums);
    const Floats second = load(sums + kSumTile);
    const std::int64_t at = row * stride_;
    if (past_caches_) {
      stream(to_[0] + at, first);
      if (groups_ > 1) stream(to_[1] + at, second);
    } else {
      store(to_[0] + at, first);
      if (groups_ > 1) store(to_[1] + at, second);
    }
  }

 private:
  std::int64_t stride_;
  bool past_caches_;
  float* to_[2] = {};
  int groups_ = 0;
};

/// SiLU without a limit is in place: a call costs the products a tenth.
struct SiluOf {
  Floats operator()(const float* gate, const float* up) const {
    return silu(load(gate)) * load(up);
  }
};

struct GluOf {
  TileGlu glu;
  // Not inlined: a function of the C library in it would cost every step registers.
  [[gnu::noinline]] Floats operator()(const float* gate, const float* up) const {
    alignas(64) float out[16];
    gated(glu.kind, glu.limit, gate, up, out, 16);
    return load(out);
  }
};

/// Glu of the two groups, as tiles for the next product. A stripe has 16 columns, a tile 32: the
/// first half of a tile waits in the cache for the second.
template <class Glu>
class GatedTiles {
 public:
  /// `waiting`: [activation rows][16].
  GatedTiles(const TileProduct& task, const Glu& glu, float* waiting)
      : glu_(glu),
        tiles_(task.glu.out),
        stride_(tile_halves(kTileRows, task.glu.out_columns)),
        all_waiting_(waiting) {}

  std::int64_t start(const FinishedSums& sums) {
    is_second_ = sums.stripe % 2 != 0;
    waiting_ = all_waiting_ + sums.first_row * 16;
    to_ = tiles_ + sums.first_row / kTileRows * stride_ + sums.stripe / 2 * kTileHalves;
    // A tile is written whole.
    return (sums.rows + kTileRows - 1) / kTileRows * kTileRows;
  }
  [[gnu::always_inline]] void write(const float* sums, std::int64_t row) const {
    const Floats gated = glu_(sums, sums + kSumTile);
    float* const waiting = waiting_ + row * 16;
    if (is_second_) {
      store_bf16(to_ + (row < kTileRows ? 0 : stride_ - kTileHalves) + row * kTileColumns,
                 load(waiting), gated);
    } else {
      store(waiting, gated);
    }
  }

 private:
  Glu glu_;
  std::uint16_t* tiles_;
  std::int64_t stride_;  ///< halves from 16 rows to the next
  float* all_waiting_;
  float* waiting_ = nullptr;
  std::uint16_t* to_ = nullptr;
  bool is_second_ = false;
};

/// Brings finished sums to where they belong, little by little like StripeDecoder. The loop beside
/// whose products that happens has a copy.
template <class Results>
class SumsWriter {
 public:
  explicit SumsWriter(const Results& results) : results_(results) {}

  /// `steps`: how often step() will be called. The first time only the upper two tiles lie there.
  void start(const FinishedSums& sums, std::int64_t steps) {
    at_ = sums.tiles;
    rows_ = results_.start(sums);
    row_ = 0;
    // Counted: a division would hold up the products.
    rows_per_step_ = 1;
    while (rows_per_step_ * steps < rows_ && rows_per_step_ < kTileRows) ++rows_per_step_;
  }
  [[gnu::always_inline]] void step() {
    const std::int64_t end = row_ + rows_per_step_ < rows_ ? row_ + rows_per_step_ : rows_;
    for (; row_ < end; ++row_) {
      results_.write(at_, row_);
      at_ += 16;
      if (row_ == kTileRows - 1) at_ += kSumTile;
    }
  }
  /// From where a copy is.
  void go_on(const SumsWriter& copy) {
    at_ = copy.at_;
    row_ = copy.row_;
  }
  void finish() {
    while (row_ < rows_) step();
  }

 private:
  Results results_;
  const float* at_ = nullptr;  ///< first group's sums of the next row
  std::int64_t rows_ = 0;
  std::int64_t row_ = 0;
  std::int64_t rows_per_step_ = 0;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_RESULTS_INL
