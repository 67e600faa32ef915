// Operands of attention on AMX. Numbers are bf16 (kNumbers 1) or sums of two (kNumbers 2: hi + lo
// hold 16 bits of one); the tiles of a number's parts lie one behind the other.
#include <type_traits>

#include "cpu/ops/attention_few.inl"
#include "cpu/ops/attention_work.inl"
#include "cpu/ops/rotation.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_PACK_INL)
#define INGOT_CPU_ATTENTION_PACK_INL

#include "cpu/targets/tiles.inl"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Positions of the cache are taken in groups: two tiles of keys, a tile's columns of values. A
/// divisor of a page.
inline constexpr std::int64_t kGroupPositions = 32;
static_assert(kGroupPositions == 2 * kTileRows && kGroupPositions == kTileColumns);
static_assert(kPageTokens % kGroupPositions == 0);

/// The words of 16 pairs of numbers, (low[i], high[i]), in parts.
template <int kNumbers>
struct Pairs {
  Ints part[kNumbers];
};

/// What is left of x when it was rounded. Where x may be infinite, that stays in part 0.
template <bool kFinite>
inline Floats rest_of(Floats x, Ints rounded) {
  const Floats rest = x - (Floats)rounded;
  if constexpr (kFinite) return rest;
  return rest == rest ? rest : Floats{};
}

template <int kNumbers, bool kFinite>
inline Pairs<kNumbers> split_pairs(Floats low, Floats high) {
  Pairs<kNumbers> out;
  out.part[0] = pair_bf16(low, high);
  if constexpr (kNumbers == 2) {
    out.part[1] = pair_bf16(rest_of<kFinite>(low, out.part[0] << 16),
                            rest_of<kFinite>(high, out.part[0] & ~0xffff));
  }
  return out;
}

/// The same of finite numbers of at most 16 significant bits, which two bf16 hold when both are
/// cut.
inline Pairs<2> cut_pairs(Floats low, Floats high) {
  const auto rest = [](Floats x) { return rest_of<true>(x, (Ints)x & ~0xffff); };
  return {{PairUppers{}(low, high), PairUppers{}(rest(low), rest(high))}};
}

/// Whether a cache type holds no infinities: f16 saturates, also as the scale of a block.
template <class Row>
inline constexpr bool kIsFinite = Row::kBlockBytes > 0;
template <>
inline constexpr bool kIsFinite<F16Row> = true;

/// Numbers of a cache in parts.
template <int kNumbers, class Row>
inline Pairs<kNumbers> row_pairs(Floats low, Floats high) {
  if constexpr (kNumbers == 2 && std::is_same_v<Row, F16Row>) {
    return cut_pairs(low, high);
  } else {
    return split_pairs<kNumbers, kIsFinite<Row>>(low, high);
  }
}

/// Where a block of the cache, the queries and what is made of both lie in tiles.
template <int kNumbers>
struct TileLayout {
  explicit TileLayout(const Attend& task)
      : key_tiles(task.keys.stored_size / kTileColumns),
        value_tiles(task.values.stored_size / kTileRows),
        groups(tile_block_positions(task.keys.stored_size, task.values.stored_size) /
               kGroupPositions) {}

  /// Left operands: 16 positions x 32 elements, (element j, element j + 16) as a pair.
  std::int64_t key(std::int64_t group, std::int64_t k, std::int64_t half) const {
    return ((group * key_tiles + k) * 2 + half) * kNumbers * kTileHalves;
  }
  /// Right operands: pairs of elements, by query.
  std::int64_t query(std::int64_t m, std::int64_t k) const {
    return (m * key_tiles + k) * kNumbers * kTileHalves;
  }
  /// Left operands: 16 elements x 32 positions, (position j, position j + 16) as a pair.
  std::int64_t value(std::int64_t n, std::int64_t group) const {
    return ((n / 2 * groups + group) * 2 + n % 2) * kNumbers * kTileHalves;
  }

  std::int64_t key_tiles;    ///< tiles of 32 elements of a key
  std::int64_t value_tiles;  ///< tiles of 16 elements of a value, an even number
  std::int64_t groups;       ///< of a block
};

/// Work space of a task on tiles.
struct TaskTiles {
  template <int kNumbers>
  TaskTiles(const Attend& task, const TileLayout<kNumbers>& layout) {
    const std::int64_t count = tile_queries(task.keys.stored_size, task.values.stored_size);
    const std::int64_t positions = layout.groups * kGroupPositions;
    float* at = task.work;
    const auto take = [&at](std::int64_t floats) {
      float* taken = at;
      at += floats;
      return taken;
    };
    const auto take_halves = [&](std::int64_t floats) {
      return reinterpret_cast<std::uint16_t*>(take(floats));
    };
    queries = take_halves(count * task.keys.stored_size);
    keys = take_halves(positions * task.keys.stored_size);
    values = take_halves(positions * task.values.stored_size);
    for (auto*& buffer : scores) buffer = take(2 * positions * kLanes);
    sums = take(count * task.values.stored_size);
    rows = take(kTileRows * larger_size(task));
    largest = take(count);
    totals = take(count);
  }
  static std::int64_t larger_size(const Attend& task) {
    return task.keys.stored_size > task.values.stored_size ? task.keys.stored_size
                                                           : task.values.stored_size;
  }

  std::uint16_t* queries;
  std::uint16_t* keys;
  std::uint16_t* values;
  float* scores[3];
  float* sums;     ///< [tile of queries][value tile][element][query]
  float* rows;     ///< of 16 queries, of their results, or scales of a group's rows
  float* largest;  ///< [query], times log2 e
  float* totals;   ///< [query]
};

template <int kNumbers>
inline void store_pairs(std::uint16_t* tile, std::int64_t row, const Pairs<kNumbers>& pairs) {
  for (int part = 0; part < kNumbers; ++part) {
    __builtin_memcpy(tile + part * kTileHalves + row * kTileColumns, &pairs.part[part], 64);
  }
}

/// A tile of which row t is the column t of `columns`.
template <int kNumbers>
inline void store_transposed(std::uint16_t* tile, const Pairs<kNumbers> (&columns)[kLanes]) {
  for (int part = 0; part < kNumbers; ++part) {
    Floats words[kLanes];
    for (int t = 0; t < kLanes; ++t) words[t] = (Floats)columns[t].part[part];
    transpose(words);
    for (int t = 0; t < kLanes; ++t) {
      __builtin_memcpy(tile + part * kTileHalves + t * kTileColumns, &words[t], 64);
    }
  }
}

/// Rows of 16 queries, f32 [16, keys.stored_size], to right operands. Meanwhile `fetch(t, k)` is
/// called for each row and tile.
template <int kNumbers, bool kFinite, class Fetch>
inline void pack_queries(const TileLayout<kNumbers>& layout, const float* rows, std::int64_t m,
                         std::uint16_t* out, Fetch&& fetch) {
  const Floats nan = broadcast(__builtin_nanf(""));
  const auto common = [&](Floats x) {
    if constexpr (kFinite) return x;
    return x == x ? x : nan;
  };
  for (std::int64_t k = 0; k < layout.key_tiles; ++k) {
    Pairs<kNumbers> columns[kLanes];
    for (int t = 0; t < kLanes; ++t) {
      const float* from = rows + (t * layout.key_tiles + k) * kTileColumns;
      fetch(t, k);
      columns[t] = split_pairs<kNumbers, kFinite>(common(load(from)), common(load(from + kLanes)));
    }
    store_transposed(out + layout.query(m, k), columns);
  }
}

/// Row::at, given the scales of the rows (load_tile_scales).
template <class Row>
inline Floats packed_vector(const CacheTile& rows, std::int64_t j, const float* scales,
                            std::int64_t chunk, int part) {
  if constexpr (Row::kBlockBytes > 0) {
    return Row::codes(rows.row(j), chunk, part) * scales[chunk * kPageTokens + j];
  } else {
    return Row::at(rows.row(j), chunk, part);
  }
}

/// `scales` has room for those of a page.
template <int kNumbers, class Row>
inline void pack_keys(const TileLayout<kNumbers>& layout, const CacheTile& keys, std::int64_t group,
                      float* scales, std::uint16_t* out) {
  load_tile_scales<Row>(keys, scales);
  for (std::int64_t k = 0; k < layout.key_tiles; ++k) {
    for (std::int64_t t = 0; t < kGroupPositions; ++t) {
      // The last row again: what is read behind it is never used.
      const std::int64_t j = t < keys.count ? t : keys.count - 1;
      const auto pairs = row_pairs<kNumbers, Row>(packed_vector<Row>(keys, j, scales, k, 0),
                                                  packed_vector<Row>(keys, j, scales, k, 1));
      store_pairs(out + layout.key(group, k, t / kTileRows), t % kTileRows, pairs);
    }
  }
}

/// Positions that do not exist are zero: their weights are as well, but what lies there may be NaN.
template <int kNumbers, class Row>
inline void pack_values(const TileLayout<kNumbers>& layout, const CacheTile& values,
                        std::int64_t group, float* scales, std::uint16_t* out) {
  load_tile_scales<Row>(values, scales);
  for (std::int64_t n = 0; n < layout.value_tiles; ++n) {
    const auto at = [&](std::int64_t j) {
      return j < values.count
                 ? packed_vector<Row>(values, j, scales, n / 2, static_cast<int>(n % 2))
                 : Floats{};
    };
    Pairs<kNumbers> columns[kLanes];
    for (int j = 0; j < kLanes; ++j) {
      columns[j] = row_pairs<kNumbers, Row>(at(j), at(j + kTilePairs));
    }
    store_transposed(out + layout.value(n, group), columns);
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
