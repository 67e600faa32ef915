// Many rows on AMX. Stripes of 32 weight rows x 512 columns are decoded to bf16 and multiplied with
// all rows of the task, which lie in tiles already. A stripe stays in the first-level cache,
// because activations and sums are loaded past it, from the second-level one; and the next one is
// decoded in its place, between the products of the last rows and its own first ones.
#include "cpu/ops/stripe_decoder.inl"
#include "cpu/ops/tile_product.hpp"
#include "cpu/ops/tile_results.inl"
#include "cpu/ops/tile_stripes.inl"
#include "cpu/ops/tile_sums.inl"
#include "cpu/targets/tiles.inl"

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline void pack_tiles(const PackTiles& task) {
  for (std::int64_t m = 0; m < kTileRows; ++m) {
    std::uint16_t* to = task.out + m * kTileColumns;
    if (m >= task.rows) {
      for (std::int64_t k = 0; k < task.columns; k += 32)
        __builtin_memset(to + k / 32 * kTileHalves, 0, 64);
      continue;
    }
    const float* from = task.in + (task.index == nullptr ? m : task.index[m]) * task.in_stride;
    for (std::int64_t k = 0; k < task.columns; k += 32)
      store_bf16(to + k / 32 * kTileHalves, load(from + k), load(from + k + 16));
  }
}

/// Which activations of the slab after this one are asked for beside a pair of row tiles' products
/// with a stripe: a part of one row tile, evenly, where the second-level cache does not keep those
/// of all slabs. Two stripes ask for one part of every row tile.
class NextSlab {
 public:
  NextSlab(const TileProduct& task, const Stripes& stripes, std::int64_t left_tiles)
      : in_(task.in),
        all_tiles_(stripes.all_tiles),
        left_tiles_(stripes.keeps_activations ? 0 : left_tiles) {
    const std::int64_t parts = (stripes.per_slab + 1) / 2;
    share_ = (stripes.slab + parts - 1) / parts;
  }

  /// The products with a stripe begin.
  void start(const Stripe& stripe) {
    if (left_tiles_ == 0) return;
    first_ = stripe.next_slab + stripe.place / 2 * share_;
    is_odd_ = stripe.place % 2;
    bytes_per_step_ = FetchEvenly::per_step(share_ * kTileBytes, stripe.tiles);
  }

  /// Beside the products of a pair of row tiles.
  FetchEvenly part(std::int64_t pair) const {
    FetchEvenly fetch;
    const std::int64_t left = 2 * pair + is_odd_;
    if (left >= left_tiles_ || first_ >= all_tiles_) return fetch;
    const std::uint16_t* const from = in_ + (left * all_tiles_ + first_) * kTileHalves;
    fetch.start(reinterpret_cast<const std::byte*>(from), nullptr, share_ * kTileBytes,
                bytes_per_step_);
    return fetch;
  }

 private:
  const std::uint16_t* in_;
  std::int64_t all_tiles_;
  std::int64_t left_tiles_;  ///< rows of tiles that are wanted
  std::int64_t share_ = 0;   ///< tiles of a part
  std::int64_t first_ = 0;   ///< tile of the part
  std::int64_t is_odd_ = 0;
  std::int64_t bytes_per_step_ = 0;
};

/// The work space of a task.
struct TileWork {
  explicit TileWork(float* at) {
    const auto take = [&at](std::int64_t count) {
      float* taken = at;
      at += count;
      return taken;
    };
    sums = take(kTileActivationRows * kSlabRows);
    stripe = reinterpret_cast<std::uint16_t*>(take(kStripeRows * kSlabColumns / 2));
    decoded = take(kTileRows * kFileColumns);
    for (auto*& tiles : finished) tiles = take(4 * kSumTile);
    gated = take(kTileActivationRows * 16);
    unread = take(kSumTile);
  }
  float* sums;  ///< between slabs: [stripe of a slab][32 activation rows][2][2] tiles
  std::uint16_t* stripe;
  float* decoded;
  float* finished[2];
  float* gated;
  float* unread;
};

/// Other work, little by little, beside the products of 32 columns each. Loops have copies of its
/// parts: state in memory costs every step.
template <class Decode, class Results>
struct BesideProducts {
  StripeDecoder<Decode> decoder;
  SumsWriter<Results> writer;
  FetchEvenly activations = {};  ///< of the next slab
  DecodeSteps decodes = {};      ///< beside which products
};

/// The product of one task.
template <class Decode, class Results>
inline void multiply_tiles(const TileProduct& task, const Decode& decode, const Results& results) {
  const Tiles tiles;
  const Stripes stripes(task);
  const std::int64_t left_tiles = (task.rows + kTileRows - 1) / kTileRows;
  const std::int64_t pairs = (left_tiles + 1) / 2;
  const TileWork work(task.work);
  TileSums sums(work.unread);
  NextSlab next_slab(task, stripes, left_tiles);
  BesideProducts<Decode, Results> beside{{stripes, pairs, task.weight, decode, work.stripe},
                                         SumsWriter<Results>(results)};
  auto& [decoder, writer, activations, decodes] = beside;
  Stripe stripe = stripes.first();
  decoder.decode(stripe);
  for (bool there = true; stripe.groups > 0; there = !there) {
    const Stripe next = stripes.behind(stripe);
    const bool is_last = stripes.is_last(stripe);
    const TileGroup groups[2] = {stripes.group(stripe, 0), stripes.group(stripe, 1)};
    next_slab.start(stripe);
    if (next.groups > 0) decoder.start_fetching(next, stripe.tiles);
    for (std::int64_t turn = 0; turn < pairs; ++turn) {
      // There and back: sums of the last rows of a slab stay in the tiles for the next one.
      const std::int64_t pair = there ? turn : pairs - 1 - turn;
      const std::int64_t block = stripe.place * pairs + pair;
      float* kept = work.sums + block * 4 * kSumTile;
      const std::int64_t first_row = pair * 2 * kTileRows;
      const std::int64_t rows =
          task.rows - first_row < 2 * kTileRows ? task.rows - first_row : 2 * kTileRows;
      TileRun t;
      t.left = task.in + (pair * 2 * stripes.all_tiles + stripe.first_tile) * kTileHalves;
      t.left_stride = stripes.all_tiles * kTileHalves;
      t.right = work.stripe;
      t.tiles = stripe.tiles;
      if (stripe.first_tile == 0) {
        t.before[0] = groups[0].bias;
        t.before[1] = groups[1].bias;
      } else {
        t.before[0] = kept;
        t.before[1] = kept + kSumTile;
        t.before_row = 16;
        t.before_left = 2 * kSumTile;
      }
      t.after = is_last ? work.finished[turn % 2] : kept;
      activations = next_slab.part(pair);
      decodes = {};
      if (turn == 0) decodes = decoder.go_on();
      const bool is_last_turn = turn + 1 == pairs && next.groups > 0;
      if (is_last_turn) {
        // The next stripe's first products are those of the same rows.
        const bool spreads = pairs > 1 && rows > kTileRows && stripe.groups > 1 && next.groups > 1;
        decodes = decoder.start(next, stripe.tiles, spreads);
      }
      sums.add(t, rows > kTileRows, stripe.groups > 1, beside);
      if (is_last_turn) decoder.finish();
      writer.finish();
      if (!is_last) continue;
      writer.start({t.after, groups, stripe.groups, stripe.number, first_row, rows}, stripe.tiles);
    }
    stripe = next;
  }
  sums.store();
  writer.finish();
  finish_streams();
}

template <class P>
inline void multiply_packed_tiles(const TileProduct& task) {
  const DecodePacked<P> decode;
  if (task.glu.up == nullptr) return multiply_tiles(task, decode, PlainRows(task));
  float* waiting = TileWork(task.work).gated;
  const bool is_silu = task.glu.kind == ops::ActivationKind::silu && task.glu.limit == 0;
  is_silu ? multiply_tiles(task, decode, GatedTiles(task, SiluOf{}, waiting))
          : multiply_tiles(task, decode, GatedTiles(task, GluOf{task.glu}, waiting));
}

/// Without glu.
inline void multiply_file_tiles(const TileProduct& task) {
  multiply_tiles(task, DecodeFile{TileWork(task.work).decoded}, PlainRows(task));
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
