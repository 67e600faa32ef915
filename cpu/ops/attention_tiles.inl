// Attention of many queries on AMX: both products in bf16 tiles with f32 sums, transposed, so that
// queries are the columns: scores = K Q^T, sums += V^T weights. A block of the cache is packed once
// for all queries of the task; then two tiles of queries at a time get their scores, their softmax
// and their weighted values. The softmax runs beside the next two tiles' scores.
#include "cpu/ops/attention_pack.inl"
#include "cpu/ops/attention_seen.inl"
#include "cpu/ops/attention_softmax.inl"
#include "cpu/ops/attention_tile_pair.inl"
#include "cpu/ops/attention_work.inl"
#include "cpu/ops/rotation.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_TILES_INL)
#define INGOT_CPU_ATTENTION_TILES_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

template <int kNumbers>
class AttendOnTiles {
 public:
  explicit AttendOnTiles(const Attend& task)
      : task_(task),
        layout_(task),
        work_(task, layout_),
        seen_(task),
        queries_(task.rows * task.heads) {}

  template <class Finish>
  void run(Finish&& finish) {
    const Tiles tiles;
    for (std::int64_t m = 0; m * kTileRows < queries_; ++m) begin_queries(m);
    // Blocks begin at multiples of their length: which rows share a task changes no result.
    const std::int64_t length = layout_.groups * kGroupPositions;
    const std::int64_t begin = seen_.first(0);
    for (std::int64_t block = begin / length * length; block < task_.end; block += length) {
      attend_block(block, begin > block ? begin : block,
                   task_.end < block + length ? task_.end : block + length);
    }
    for (std::int64_t m = 0; m * kTileRows < queries_; ++m) end_queries(m, finish);
  }

 private:
  /// Two tiles of queries, or the last one, and the groups of a block that they see.
  struct Pair {
    std::int64_t m;
    std::int64_t width;
    std::int64_t first_group;
    std::int64_t groups;
    bool is_first;  ///< of the blocks that they see
  };

  void begin_queries(std::int64_t m) const {
    const bool is_finite = load_queries(m);
    const std::int64_t next = (m + 1) * kTileRows;
    const auto fetch = [&](std::int64_t t, std::int64_t k) __attribute__((always_inline)) {
      if (next + t < queries_) fetch_later(query(task_, next + t) + k * kTileColumns, 128);
    };
    if (is_finite) {
      pack_queries<kNumbers, true>(layout_, work_.rows, m, work_.queries, fetch);
    } else {
      pack_queries<kNumbers, false>(layout_, work_.rows, m, work_.queries, fetch);
    }
    store(work_.largest + m * kLanes, broadcast(kNoScore));
    store(work_.totals + m * kLanes, Floats{});
  }

  /// The m-th 16 queries, as they are multiplied, to work_.rows. Whether all of them are finite.
  bool load_queries(std::int64_t m) const {
    const std::int64_t size = task_.keys.stored_size;
    Ints zeros = {};
    for (std::int64_t t = 0; t < kTileRows; ++t) {
      float* row = work_.rows + t * size;
      const std::int64_t q = m * kTileRows + t;
      std::int64_t i = 0;
      if (q < queries_) {
        load_query(task_, q, row);
        i = task_.keys.size;
      }
      for (; i < size; ++i) row[i] = 0.0F;
      // Scores are scalar products, which a rotation of both sides leaves as they are.
      if (task_.keys.rotated) rotate(row, size);
      for (i = 0; i < size; i += kLanes) {
        const Floats x = load(row + i) * task_.scale;
        store(row + i, x);
        zeros |= (Ints)(x * 0.0F);  // NaN if x is no number
      }
    }
    const __m512i magnitudes = (__m512i)(zeros << 1);
    return _mm512_test_epi32_mask(magnitudes, magnitudes) == 0;
  }

  template <class Finish>
  void end_queries(std::int64_t m, Finish&& finish) const {
    const bool is_plain = task_.values.size == task_.values.stored_size && !task_.values.rotated;
    if (task_.split == nullptr && task_.sinks == nullptr && is_plain) return write_results(m);
    const std::int64_t size = task_.values.stored_size;
    for (std::int64_t n = 0; n < layout_.value_tiles; ++n) {
      Floats block[kLanes];
      for (int t = 0; t < kLanes; ++t) block[t] = load(sums(m, n) + t * kLanes);
      transpose(block);
      for (int t = 0; t < kLanes; ++t) store(work_.rows + t * size + n * kLanes, block[t]);
    }
    for (std::int64_t t = 0; t < kTileRows && m * kTileRows + t < queries_; ++t) {
      const std::int64_t q = m * kTileRows + t;
      // No sums were begun for queries that saw nothing.
      if (work_.largest[q] == kNoScore && work_.totals[q] == 0.0F) {
        for (std::int64_t i = 0; i < size; ++i) work_.rows[t * size + i] = 0.0F;
      }
      finish(q, work_.rows + t * size, work_.largest[q] * kLn2, work_.totals[q]);
    }
  }

  /// The results of a tile of queries, 32 elements at a time: sums are divided where a query is a
  /// lane. Rows go past the caches, as results of products do (PlainRows); of tiles, the product
  /// behind reads many from there.
  void write_results(std::int64_t m) const {
    const std::int64_t count =
        queries_ - m * kTileRows < kTileRows ? queries_ - m * kTileRows : kTileRows;
    float* to[kTileRows];
    for (std::int64_t t = 0; t < count; ++t) to[t] = result(task_, m * kTileRows + t);
    const Floats totals = load(work_.totals + m * kLanes);
    // No sums were begun for queries that saw nothing.
    const Ints has_sums = (load(work_.largest + m * kLanes) != kNoScore) | (totals != 0.0F);
    const Floats inverse = totals == 0.0F ? Floats{} : 1.0F / totals;
    const std::int64_t step = task_.tiles.first == nullptr ? kTileColumns : kTileHalves / 2;
    for (std::int64_t n = 0; n < layout_.value_tiles; n += 2) {
      Floats block[2][kLanes];
      for (int i = 0; i < 2; ++i) {
        const float* from = sums(m, n + i);
        for (int e = 0; e < kLanes; ++e) {
          block[i][e] = (Floats)((Ints)(load(from + e * kLanes) * inverse) & has_sums);
        }
        transpose(block[i]);
      }
      for (std::int64_t t = 0; t < count; ++t) {
        float* const at = to[t] + n / 2 * step;
        if (task_.tiles.first != nullptr) {
          store(at, to_bf16(block[0][t], block[1][t]));
        } else {
          stream(at, block[0][t]);
          stream(at + kLanes, block[1][t]);
        }
      }
    }
  }

  void attend_block(std::int64_t block, std::int64_t begin, std::int64_t end) {
    with_cache_row(task_.keys.type,
                   [&](auto row) { pack_block<decltype(row)>(kKeys, block, begin, end); });
    with_cache_row(task_.values.type,
                   [&](auto row) { pack_block<decltype(row)>(kValues, block, begin, end); });
    // While one pair's scores become weights, the next one's scores and the values of the one
    // before are multiplied.
    WeightMaker weights;
    const auto advance = [&]() __attribute__((always_inline)) {
      weights.advance();
    };
    Pair before = {};
    Pair pair = pair_from(0, block, end);
    if (pair.groups > 0) score(pair, [] {});
    while (pair.groups > 0) {
      const Pair next = pair_from(pair.m + 2, block, end);
      Floats base[2];
      for (std::int64_t b = 0; b < pair.width; ++b) base[b] = new_base(pair, b, block);
      weights.start(scores(pair), pair.groups, pair.width, base,
                    pauses(kNumbers, kNumbers) * next.groups * layout_.key_tiles +
                        pauses(kNumbers, 1) * before.groups * layout_.value_tiles / 2);
      if (next.groups > 0) score(next, advance);
      if (before.groups > 0) add_values(before, advance);
      weights.finish();
      for (std::int64_t b = 0; b < pair.width; ++b) {
        float* totals = work_.totals + (pair.m + b) * kLanes;
        store(totals, load(totals) + weights.total(static_cast<int>(b)));
      }
      before = pair;
      pair = next;
    }
    if (before.groups > 0) add_values(before, [] {});
  }

  enum Side { kKeys, kValues };

  template <class Row>
  void pack_block(Side side, std::int64_t block, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t group = (begin - block) / kGroupPositions;
         block + group * kGroupPositions < end; ++group) {
      const std::int64_t position = block + group * kGroupPositions;
      const std::int64_t count =
          end - position < kGroupPositions ? end - position : kGroupPositions;
      const HeadPages& pages = side == kKeys ? task_.keys : task_.values;
      const CacheTile rows = cache_tile(pages, task_.pages, position, count, 0, nullptr);
      if (side == kKeys) {
        pack_keys<kNumbers, Row>(layout_, rows, group, work_.rows, work_.keys);
      } else {
        pack_values<kNumbers, Row>(layout_, rows, group, work_.rows, work_.values);
      }
    }
  }

  /// The first pair from tile m on that sees some of the block's positions; none has 0 groups.
  Pair pair_from(std::int64_t m, std::int64_t block, std::int64_t end) const {
    for (; m * kTileRows < queries_; m += 2) {
      std::int64_t first = seen_.first(m * kTileRows);
      std::int64_t last = seen_.last((m + 2) * kTileRows - 1);
      const bool is_first = first >= block;
      if (first < block) first = block;
      if (last >= end) last = end - 1;
      if (first > last) continue;
      const std::int64_t group = (first - block) / kGroupPositions;
      return {m, (m + 1) * kTileRows < queries_ ? 2 : 1, group,
              (last - block) / kGroupPositions + 1 - group, is_first};
    }
    return {};
  }

  float* sums(std::int64_t m, std::int64_t n) const {
    return work_.sums + (m * layout_.value_tiles + n) * kTileRows * kLanes;
  }

  /// Three pairs that follow each other are under way.
  float* scores(const Pair& pair) const { return work_.scores[pair.m / 2 % 3]; }

  template <class Pause>
  void score(const Pair& pair, Pause&& pause) const {
    if (pair.width == 2) {
      score_pair<2>(pair, scores(pair), pause);
    } else {
      score_pair<1>(pair, scores(pair), pause);
    }
  }

  template <int kWidth, class Pause>
  void score_pair(const Pair& pair, float* out, Pause&& pause) const {
    TilePair p;
    p.left = work_.keys + layout_.key(pair.first_group, 0, 0);
    p.right = work_.queries + layout_.query(pair.m, 0);
    p.right_next = layout_.query(1, 0);
    p.right_step = layout_.query(0, 1);
    p.steps = layout_.key_tiles;
    for (std::int64_t g = 0; g < pair.groups; ++g) {
      _tile_zero(0);
      if constexpr (kWidth > 1) _tile_zero(1);
      _tile_zero(2);
      if constexpr (kWidth > 1) _tile_zero(3);
      add_tile_pair<kNumbers, kNumbers, kWidth>(p, pause);
      _tile_stored(0, out, 64);
      if constexpr (kWidth > 1) _tile_stored(1, out + kTileScores, 64);
      _tile_stored(2, out + kTileScores / 2, 64);
      if constexpr (kWidth > 1) _tile_stored(3, out + kTileScores / 2 + kTileScores, 64);
      p.left += layout_.key(1, 0, 0);
      out += kWidth * kTileScores;
    }
  }

  /// Masks the scores of a tile of queries and takes its new largest score into account: scales
  /// what was summed before. Returns what is subtracted from scores.
  Floats new_base(const Pair& pair, std::int64_t b, std::int64_t block) const {
    const std::int64_t m = pair.m + b;
    // What all of them see.
    const std::int64_t seen = seen_.first(m * kTileRows + kTileRows - 1);
    const std::int64_t seen_end = seen_.last(m * kTileRows) + 1;
    float* at = scores(pair) + b * kTileScores;
    Floats largest = broadcast(kNoScore);
    for (std::int64_t g = 0; g < pair.groups; ++g, at += pair.width * kTileScores) {
      const std::int64_t position = block + (pair.first_group + g) * kGroupPositions;
      if (task_.soft_cap > 0.0F) cap_scores(at, task_.soft_cap);
      if (position < seen || position + kGroupPositions > seen_end) {
        mask_scores(at, position, seen_.lanes(m));
      }
      largest = larger(largest, largest_scores(at));
    }
    const Floats before = load(work_.largest + m * kLanes);
    largest = largest * kLog2E;
    const Floats after = largest > before + kMostWeight ? largest : before;
    // Nothing visible yet (or every score -infinity): -inf - -inf would be NaN.
    const Floats base = after == kNoScore ? Floats{} : after;
    if (_mm512_cmpneq_ps_mask((__m512)before, (__m512)after) == 0) return base;
    store(work_.largest + m * kLanes, after);
    if (pair.is_first) return base;
    const Floats correction = power_of_two(before - base);
    store(work_.totals + m * kLanes, load(work_.totals + m * kLanes) * correction);
    float* sum = sums(m, 0);
    for (std::int64_t i = 0; i < layout_.value_tiles * kTileRows; ++i, sum += kLanes) {
      store(sum, load(sum) * correction);
    }
    return base;
  }

  template <class Pause>
  void add_values(const Pair& pair, Pause&& pause) const {
    if (pair.width == 2) {
      add_values_of<2>(pair, scores(pair), pause);
    } else {
      add_values_of<1>(pair, scores(pair), pause);
    }
  }

  template <int kWidth, class Pause>
  void add_values_of(const Pair& pair, const float* weights, Pause&& pause) const {
    TilePair p;
    p.right = reinterpret_cast<const std::uint16_t*>(weights);
    p.right_next = 2 * kTileScores;
    p.right_step = kWidth * 2 * kTileScores;
    p.steps = pair.groups;
    for (std::int64_t n = 0; n < layout_.value_tiles; n += 2) {
      p.left = work_.values + layout_.value(n, pair.first_group);
      float* at = sums(pair.m, n);
      float* below = at + kTileRows * kLanes;
      const std::int64_t next = sums(1, 0) - sums(0, 0);
      if (pair.is_first) {
        _tile_zero(0);
        if constexpr (kWidth > 1) _tile_zero(1);
        _tile_zero(2);
        if constexpr (kWidth > 1) _tile_zero(3);
      } else {
        _tile_loadd(0, at, 64);
        if constexpr (kWidth > 1) _tile_loadd(1, at + next, 64);
        _tile_loadd(2, below, 64);
        if constexpr (kWidth > 1) _tile_loadd(3, below + next, 64);
      }
      add_tile_pair<kNumbers, 1, kWidth>(p, pause);
      _tile_stored(0, at, 64);
      if constexpr (kWidth > 1) _tile_stored(1, at + next, 64);
      _tile_stored(2, below, 64);
      if constexpr (kWidth > 1) _tile_stored(3, below + next, 64);
    }
  }

  const Attend& task_;
  const TileLayout<kNumbers> layout_;
  const TaskTiles work_;
  const SeenPositions seen_;
  std::int64_t queries_;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
