// Attention of few queries: the cache is read once, where it lies, and decoded in registers.
#include "cpu/ops/attention_work.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#ifndef INGOT_CPU_ATTENTION_FEW_INL
#define INGOT_CPU_ATTENTION_FEW_INL

namespace ingot::cpu::INGOT_CPU_TARGET {

inline void prefetch_row(const std::byte* row, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

/// Positions whose scores are computed together, a divisor of a page: as many sums as registers
/// hold beside a key each and a query.
constexpr int positions_at_once(int queries) {
  if (kLanes >= 16) return queries == 1 ? 16 : queries == 2 ? 8 : queries <= 6 ? 4 : 2;
  return queries == 1 ? kLanes : queries == 2 ? kLanes / 2 : queries <= 4 ? kLanes / 4 : 1;
}

/// scales[j][chunk] of the tile's rows, if they are quantized: a scale is wanted by every vector of
/// its block and by every group of queries.
template <class Row>
inline void load_tile_scales(const CacheTile& tile, float* scales) {
  if constexpr (Row::kBlockBytes > 0) {
    const std::int64_t chunks = tile.size / kRowChunk;
    for (std::int64_t j = 0; j < tile.count; ++j) {
      load_scales<Row>(tile.row(j), chunks, scales + j * chunks);
    }
  }
}

/// Row::at with the row's scales at hand.
template <class Row>
inline Floats cache_vector(const std::byte* row, const float* scales, std::int64_t chunk,
                           int part) {
  if constexpr (Row::kBlockBytes > 0) {
    return Row::codes(row, chunk, part) * scales[chunk];
  } else {
    return Row::at(row, chunk, part);
  }
}

/// weights[r + q][j] = query r + q times key j, for kQueries queries; work.keys are the scales of
/// the keys. `next` are rows that will be read soon.
template <class Row, int kQueries>
inline void score_in_place(const AttentionWork& work, std::int64_t r, const CacheTile& keys,
                           const CacheTile& next) {
  const std::int64_t chunks = keys.size / kRowChunk;
  constexpr int kPositions = positions_at_once(kQueries);
  constexpr int kVectors = (kQueries * kPositions + kLanes - 1) / kLanes;
  const float* queries = work.queries + r * work.key_stride;
  float* weights = work.weights + r * kPageTokens;
  for (std::int64_t j = 0; j < keys.count; j += kPositions) {
    const std::byte* rows[kPositions];
    const float* scales[kPositions];
    for (int t = 0; t < kPositions; ++t) {
      rows[t] = keys.row_within(j + t);
      scales[t] = work.keys + (j + t < keys.count ? j + t : keys.count - 1) * chunks;
      if (j + t < next.count) prefetch_row(next.row(j + t), next.row_bytes);
    }
    Floats sums[kVectors * kLanes] = {};
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      for (int part = 0; part < kChunkVectors; ++part) {
        Floats key[kPositions];
        for (int t = 0; t < kPositions; ++t) {
          key[t] = cache_vector<Row>(rows[t], scales[t], chunk, part);
        }
        for (int q = 0; q < kQueries; ++q) {
          const Floats query =
              load(queries + q * work.key_stride + kRowChunk * chunk + kLanes * part);
          for (int t = 0; t < kPositions; ++t) sums[q * kPositions + t] += query * key[t];
        }
      }
    }
    float scores[kVectors * kLanes];
    for (int v = 0; v < kVectors; ++v) store(scores + v * kLanes, sum_each(sums + v * kLanes));
    for (int q = 0; q < kQueries; ++q) {
      __builtin_memcpy(weights + q * kPageTokens + j, scores + q * kPositions,
                       kPositions * sizeof(float));
    }
  }
}

/// sums[r + q] += sum over positions of weights[r + q][j] * value j, for kVectors vectors of a
/// chunk; work.values are the scales of the values. `next` and the lines behind it will be read
/// soon, up to `next_end`.
template <class Row, int kQueries, int kVectors>
inline void add_columns(const AttentionWork& work, std::int64_t r, const CacheTile& values,
                        std::int64_t chunk, int part, const std::byte* next,
                        const std::byte* next_end) {
  const std::int64_t chunks = values.size / kRowChunk;
  const float* scales = work.values;
  const float* weights = work.weights + r * kPageTokens;
  float* out = work.sums + r * work.value_stride + kRowChunk * chunk + kLanes * part;
  Floats sums[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) sums[q][v] = load(out + q * work.value_stride + v * kLanes);
  }
  for (std::int64_t j = 0; j < values.count; ++j, next += 64) {
    if (next < next_end) __builtin_prefetch(next);
    Floats value[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      value[v] = cache_vector<Row>(values.row(j), scales + j * chunks, chunk, part + v);
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int v = 0; v < kVectors; ++v) sums[q][v] += value[v] * weights[q * kPageTokens + j];
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) store(out + q * work.value_stride + v * kLanes, sums[q][v]);
  }
}

template <class Row, int kQueries>
inline void add_in_place(const AttentionWork& work, std::int64_t r, const CacheTile& values,
                         const CacheTile& next) {
  // Up to 24 sums of 32 registers, or 8 of 16.
  constexpr int kVectors = kLanes >= 16 ? 2 : 1;
  // A line with each row: lines that are asked for all at once wait for each other.
  const std::byte* line = next.rows;
  const std::byte* end = next.row(next.count);
  for (std::int64_t chunk = 0; chunk < values.size / kRowChunk; ++chunk) {
    for (int part = 0; part < kChunkVectors; part += kVectors) {
      add_columns<Row, kQueries, kVectors>(work, r, values, chunk, part, line, end);
      line += 64 * values.count;
    }
  }
}

/// body(Constant<n>, r) for groups of n queries that together cover `count`, perhaps some more: the
/// work space has room for kQueryRows * kQueryHeads.
template <class Body>
inline void in_query_groups(std::int64_t count, Body&& body) {
  constexpr int kMost = kLanes < 8 ? kLanes : 8;
  std::int64_t r = 0;
  for (; count - r > kMost; r += kMost) body(Constant<kMost>{}, r);
  switch (count - r) {
    case 1: body(Constant<1>{}, r); break;
    case 2: body(Constant<2>{}, r); break;
    case 3: body(Constant<3>{}, r); break;
    case 4: body(Constant<4>{}, r); break;
    case 5:
    case 6: body(Constant<(kMost < 6 ? kMost : 6)>{}, r); break;
    default: body(Constant<kMost>{}, r); break;
  }
}

class AttendInPlace {
 public:
  AttendInPlace(const Attend& task, const AttentionWork& work) : task_(task), work_(work) {
    // Groups may be wider than what is there.
    const std::int64_t queries = task.rows * task.heads;
    for (std::int64_t i = queries * work.key_stride; i < kFewQueries * work.key_stride; ++i) {
      work.queries[i] = 0.0F;
    }
    for (std::int64_t i = queries * work.value_stride; i < kFewQueries * work.value_stride; ++i) {
      work.sums[i] = 0.0F;
    }
    for (std::int64_t i = queries * kPageTokens; i < kFewQueries * kPageTokens; ++i) {
      work.weights[i] = 0.0F;
    }
  }

  void attend(const TileOfRows& tile) {
    const CacheTile keys = cache_tile(task_.keys, task_.pages, tile.begin, tile.count,
                                      work_.key_stride, work_.key_rows);
    const CacheTile values = cache_tile(task_.values, task_.pages, tile.begin, tile.count,
                                        work_.value_stride, work_.value_rows);
    const std::int64_t r0 = tile.first * task_.heads;
    const std::int64_t queries = (tile.end - tile.first) * task_.heads;
    with_cache_row(keys.type, [&](auto row) {
      typedef decltype(row) Row;
      load_tile_scales<Row>(keys, work_.keys);
      in_query_groups(queries, [&](auto count, std::int64_t r) {
        score_in_place<Row, decltype(count)::kValue>(work_, r0 + r, keys, values);
      });
    });
    update_rows(task_, work_, tile.first, tile.end, tile.begin, tile.count);
    const CacheTile next = keys_behind(tile);
    with_cache_row(values.type, [&](auto row) {
      typedef decltype(row) Row;
      load_tile_scales<Row>(values, work_.values);
      in_query_groups(queries, [&](auto count, std::int64_t r) {
        add_in_place<Row, decltype(count)::kValue>(work_, r0 + r, values, next);
      });
    });
  }

 private:
  // The keys that are read next, by this task or the next one: none where the cache ends.
  CacheTile keys_behind(const TileOfRows& tile) const {
    const std::int64_t begin = tile.begin + tile.count;
    std::int64_t count = task_.first_position + task_.rows - begin;
    if (count > kPageTokens) count = kPageTokens;
    if (count <= 0 || task_.keys.stored_size % kRowChunk != 0) return {};
    return cache_tile(task_.keys, task_.pages, begin, count, 0, nullptr);
  }

  const Attend& task_;
  const AttentionWork& work_;
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ATTENTION_FEW_INL
