// Finished sums of tile products on their way to memory, little by little, for tile_product.inl.
#include "cpu/ops/elementwise.inl"
#include "cpu/ops/tile_sums.inl"

#ifndef INGOT_CPU_TILE_RESULTS_INL
#define INGOT_CPU_TILE_RESULTS_INL

#if defined(__AMX_BF16__)

namespace ingot::cpu::INGOT_CPU_TARGET {

/// Results for a later kernel go past the caches: a store into them would fetch the line first, and
/// products would wait for it.
struct PlainRow {
  bool past_caches;
  void operator()(const float* sums, float* const (&to)[2], int groups) const {
    const Floats first = load(sums);
    const Floats second = load(sums + kSumTile);
    if (past_caches) {
      stream(to[0], first);
      if (groups > 1) stream(to[1], second);
    } else {
      store(to[0], first);
      if (groups > 1) store(to[1], second);
    }
  }
};

/// SiLU without a limit is in place: a call costs the products a tenth.
struct SiluRow {
  void operator()(const float* sums, float* const (&to)[2], int) const {
    store(to[0], silu(load(sums)) * load(sums + kSumTile));
  }
};

struct GluRow {
  TileGlu glu;
  // Not inlined: a function of the C library in it would cost every step registers.
  [[gnu::noinline]] void operator()(const float* sums, float* const (&to)[2], int) const {
    gated(glu.kind, glu.limit, sums, sums + kSumTile, to[0], kTileRows);
  }
};

/// Brings finished sums of 32 x 32 to where they belong, little by little like StripeDecoder.
template <class WriteRow>
class SumsWriter {
 public:
  explicit SumsWriter(const WriteRow& write_row) : write_row_(write_row) {}

  /// `steps`: how often advance() will be called.
  void start(const float* tiles, const TileGroup (&to)[2], std::int64_t first_row,
             std::int64_t out_stride, std::int64_t rows, int groups, std::int64_t steps) {
    tiles_ = tiles;
    for (int g = 0; g < 2; ++g) out_[g] = to[g].out + first_row * out_stride;
    out_stride_ = out_stride;
    rows_ = rows;
    groups_ = groups;
    row_ = 0;
    rows_per_step_ = (rows + steps - 1) / steps;
  }
  void advance() {
    for (std::int64_t i = 0; i < rows_per_step_ && row_ < rows_; ++i) next_row();
  }
  void finish() {
    while (row_ < rows_) next_row();
  }

 private:
  void next_row() {
    write_row_(tiles_ + row_ / kTileRows * 2 * kSumTile + row_ % kTileRows * 16, out_, groups_);
    for (float*& to : out_) to += out_stride_;
    ++row_;
  }

  WriteRow write_row_;
  const float* tiles_ = nullptr;
  float* out_[2] = {};  ///< of each group, next row
  std::int64_t out_stride_ = 0;
  std::int64_t rows_ = 0;
  int groups_ = 0;
  std::int64_t row_ = 0;
  std::int64_t rows_per_step_ = 0;
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILE_RESULTS_INL
