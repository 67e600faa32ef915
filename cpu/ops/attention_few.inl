// Attention of few queries: the cache is read once, where it lies, and decoded in registers.
#include "cpu/ops/attention_work.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#ifndef INGOT_CPU_ATTENTION_FEW_INL
#define INGOT_CPU_ATTENTION_FEW_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// What will be read a page later, asked for while the page at hand is: a little with each vector
/// read, because lines that are asked for all at once wait for each other.
struct BytesAhead {
  const std::byte* at;
  const std::byte* end;

  /// Once per line, not more: a line that is on its way already takes a buffer all the same.
  template <int kBytes>
  void ask() {
    constexpr int kLines = kBytes < 64 ? 1 : (kBytes + 32) / 64;
    for (int i = 0; i < kLines; ++i) {
      if (at + 64 * i < end) __builtin_prefetch(at + 64 * i, 0, 2);
    }
    at += kBytes;
  }
};

/// Positions whose scores are computed together, a divisor of a page: as many sums as registers
/// hold beside a key each and a query.
constexpr int positions_at_once(int queries) {
  if (kLanes >= 16) return queries == 1 ? 16 : queries == 2 ? 8 : queries <= 6 ? 4 : 2;
  return queries == 1 ? kLanes : queries == 2 ? kLanes / 2 : queries <= 4 ? kLanes / 4 : 1;
}

/// Bytes that a vector of a row has in the cache, its share of the scale included.
template <class Row>
constexpr int vector_bytes() {
  if constexpr (Row::kBlockBytes > 0) {
    return (Row::kBlockBytes + kChunkVectors - 1) / kChunkVectors;
  } else {
    return Row::kBytes * kLanes;
  }
}

/// scales[chunk][j] of the tile's rows, if they are quantized.
template <class Row>
inline void load_tile_scales(const CacheTile& tile, float* scales) {
  if constexpr (Row::kBlockBytes > 0) {
    for (std::int64_t chunk = 0; chunk < tile.size / kRowChunk; ++chunk) {
      load_scales<Row>(tile.rows + Row::kBlockBytes * chunk, tile.row_bytes, tile.count,
                       scales + chunk * kPageTokens);
    }
  }
}

/// weights[r + q][j] = query r + q times key j, for kQueries queries; work.keys are the scales of
/// the keys.
template <class Row, int kQueries>
inline void score_in_place(const AttentionWork& work, std::int64_t r, const CacheTile& keys,
                           BytesAhead ahead) {
  const std::int64_t chunks = keys.size / kRowChunk;
  constexpr int kPositions = positions_at_once(kQueries);
  constexpr int kVectors = (kQueries * kPositions + kLanes - 1) / kLanes;
  const float* queries = work.queries + r * work.key_stride;
  float* weights = work.weights + r * kPageTokens;
  for (std::int64_t j = 0; j < keys.count; j += kPositions) {
    const std::byte* rows[kPositions];
    for (int t = 0; t < kPositions; ++t) rows[t] = keys.row_within(j + t);
    Floats sums[kVectors * kLanes] = {};
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float* scales = work.keys + chunk * kPageTokens + j;
      for (int part = 0; part < kChunkVectors; ++part) {
        Floats key[kPositions];
        for (int t = 0; t < kPositions; ++t) {
          if constexpr (Row::kBlockBytes > 0) {
            key[t] = Row::codes(rows[t], chunk, part) * scales[t];
          } else {
            key[t] = Row::at(rows[t], chunk, part);
          }
        }
        for (int q = 0; q < kQueries; ++q) {
          const Floats query =
              load(queries + q * work.key_stride + kRowChunk * chunk + kLanes * part);
          for (int t = 0; t < kPositions; ++t) sums[q * kPositions + t] += query * key[t];
        }
        ahead.template ask<kPositions * vector_bytes<Row>()>();
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

/// sums[r + q] += sum over positions of weights[q][j] * value j, for kVectors vectors of a chunk.
/// Quantized values are taken without their scales.
template <class Row, int kQueries, int kVectors>
inline void add_columns(const AttentionWork& work, std::int64_t r, const CacheTile& values,
                        const float* weights, std::int64_t chunk, int part, BytesAhead& ahead) {
  constexpr int kBytes = kVectors * vector_bytes<Row>();
  constexpr int kEvery = kBytes >= 64 ? 1 : kBytes >= 32 ? 2 : kBytes >= 16 ? 4 : 8;
  float* out = work.sums + r * work.value_stride + kRowChunk * chunk + kLanes * part;
  Floats sums[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) sums[q][v] = load(out + q * work.value_stride + v * kLanes);
  }
  for (std::int64_t j = 0; j < values.count; ++j) {
    if (j % kEvery == 0) ahead.template ask<kEvery * kBytes>();
    Floats value[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      if constexpr (Row::kBlockBytes > 0) {
        value[v] = Row::codes(values.row(j), chunk, part + v);
      } else {
        value[v] = Row::at(values.row(j), chunk, part + v);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int v = 0; v < kVectors; ++v) sums[q][v] += value[v] * weights[q * kPageTokens + j];
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) store(out + q * work.value_stride + v * kLanes, sums[q][v]);
  }
}

/// sums[r + q] += weights[r + q] times values, for kQueries queries; work.values are the scales of
/// the values, with room behind them for weights times scales: a product per position and block,
/// where scaling the values would take one per vector.
template <class Row, int kQueries>
inline void add_in_place(const AttentionWork& work, std::int64_t r, const CacheTile& values,
                         BytesAhead ahead) {
  // Up to 24 sums of 32 registers, or 8 of 16.
  constexpr int kVectors = kLanes >= 16 ? 2 : 1;
  const std::int64_t chunks = values.size / kRowChunk;
  const float* weights = work.weights + r * kPageTokens;
  float* scaled = work.values + chunks * kPageTokens;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    if constexpr (Row::kBlockBytes > 0) {
      const float* scales = work.values + chunk * kPageTokens;
      for (std::int64_t j = 0; j < values.count; j += kLanes) {
        const Floats scale = load(scales + j);
        for (int q = 0; q < kQueries; ++q) {
          store(scaled + q * kPageTokens + j, load(weights + q * kPageTokens + j) * scale);
        }
      }
    }
    for (int part = 0; part < kChunkVectors; part += kVectors) {
      add_columns<Row, kQueries, kVectors>(work, r, values, Row::kBlockBytes > 0 ? scaled : weights,
                                           chunk, part, ahead);
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
      const BytesAhead ahead = behind(task_.keys, tile);
      in_query_groups(queries, [&](auto count, std::int64_t r) {
        score_in_place<Row, decltype(count)::kValue>(work_, r0 + r, keys, ahead);
      });
    });
    update_rows(task_, work_, tile.first, tile.end, tile.begin, tile.count);
    with_cache_row(values.type, [&](auto row) {
      typedef decltype(row) Row;
      load_tile_scales<Row>(values, work_.values);
      const BytesAhead ahead = behind(task_.values, tile);
      in_query_groups(queries, [&](auto count, std::int64_t r) {
        add_in_place<Row, decltype(count)::kValue>(work_, r0 + r, values, ahead);
      });
    });
  }

 private:
  // The rows that are read next, by this task or the next one: none where the cache ends.
  BytesAhead behind(const HeadPages& rows, const TileOfRows& tile) const {
    const std::int64_t begin = tile.begin + tile.count;
    std::int64_t count = task_.first_position + task_.rows - begin;
    if (count > kPageTokens) count = kPageTokens;
    if (count <= 0) return {nullptr, nullptr};
    const std::byte* first = row_at(rows, task_.pages, begin);
    return {first, first + count * rows.row_bytes};
  }

  const Attend& task_;
  const AttentionWork& work_;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ATTENTION_FEW_INL
