// What the ways of attention share: work space, tiles of the cache, the softmax of a row.
#include "cpu/ops/attention.hpp"
#include "cpu/ops/rope.inl"
#include "cpu/ops/tile_product.hpp"
#include "cpu/quant/cache_rows.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#ifndef INGOT_CPU_ATTENTION_WORK_INL
#define INGOT_CPU_ATTENTION_WORK_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline constexpr float kNoScore = -__builtin_inff();

/// Work space of one task. Query row r of the task's i-th row and h-th head is r = i * heads + h.
struct AttentionWork {
  float* key_rows;    ///< [kPageTokens, key_stride]: rows that are no whole chunks, decoded
  float* value_rows;  ///< [kPageTokens, value_stride]
  float* keys;        ///< a tile of keys as its way wants it, kPageTokens * key_stride floats
  float* values;      ///< a tile of values likewise
  float* queries;     ///< [rows * heads, key_stride], padded with zeros
  float* weights;     ///< [rows * heads, kPageTokens]: scores, then exp(score - largest)
  float* sums;        ///< [rows * heads, value_stride]: weighted values
  float* largest;     ///< [rows * heads]
  float* totals;      ///< [rows * heads]
  std::int64_t key_stride;
  std::int64_t value_stride;
};

inline AttentionWork carve(const Attend& task) {
  constexpr std::int64_t kQueries = kQueryRows * kQueryHeads;
  AttentionWork work;
  work.key_stride = padded(task.keys.stored_size);
  work.value_stride = padded(task.values.stored_size);
  float* at = task.work;
  const auto take = [&at](std::int64_t count) {
    float* taken = at;
    at += count;
    return taken;
  };
  work.key_rows = take(kPageTokens * work.key_stride);
  work.value_rows = take(kPageTokens * work.value_stride);
  work.keys = take(kPageTokens * work.key_stride);
  work.values = take(kPageTokens * work.value_stride);
  work.queries = take(kQueries * work.key_stride);
  work.sums = take(kQueries * work.value_stride);
  work.weights = take(kQueries * kPageTokens);
  work.largest = take(kQueries);
  work.totals = take(kQueries);
  return work;
}

/// Query r of a task: keys.size elements.
inline const float* query(const Attend& task, std::int64_t r) {
  return task.query + r / task.heads * task.query_stride + r % task.heads * task.keys.size;
}

/// The same, rotated if it is not yet.
inline void load_query(const Attend& task, std::int64_t r, float* to) {
  const std::int64_t size = task.keys.size;
  const float* from = query(task, r);
  const QueryRotation& rotation = task.rotation;
  if (rotation.angles == nullptr) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(size) * sizeof(float));
    return;
  }
  rotate({.in = from,
          .out = to,
          .heads = 1,
          .head_size = size,
          .rotary_size = rotation.rotary_size,
          .rotary_offset = rotation.rotary_offset,
          .layout = rotation.layout,
          .angles = rotation.angles + r / task.heads * rotation.rotary_size});
}

/// Where the result of query r begins, as f32 or as 32 bf16 of every tile.
inline float* result(const Attend& task, std::int64_t r) {
  const std::int64_t row = r / task.heads;
  const std::int64_t column = r % task.heads * task.values.size;
  const ResultTiles& tiles = task.tiles;
  if (tiles.first == nullptr) return task.out + row * task.out_stride + column;
  return reinterpret_cast<float*>(
      tiles.first + tile_offset(tiles.row + row, tiles.column + column, tiles.columns));
}

/// Some positions of one page, as they lie there or decoded to f32.
struct CacheTile {
  const std::byte* rows;
  std::int64_t row_bytes;
  std::int64_t count;  ///< rows
  std::int64_t size;   ///< elements of a row, a multiple of kRowChunk
  DType type;

  const std::byte* row(std::int64_t t) const { return rows + t * row_bytes; }
  /// Row t, or the last: what is read behind it is never used.
  const std::byte* row_within(std::int64_t t) const { return row(t < count ? t : count - 1); }
};

/// The row of a position of the sequence that has this page table.
inline const std::byte* row_at(const HeadPages& pages, const std::int32_t* table,
                               std::int64_t position) {
  const std::int32_t page = table[position / kPageTokens];
  return pages.first + page / kBundlePages * pages.bundle_stride +
         (page % kBundlePages * kPageTokens + position % kPageTokens) * pages.row_bytes;
}

/// `count` positions from `position`, all in one page. Rows that are no whole chunks are decoded to
/// `scratch`, padded with zeros.
inline CacheTile cache_tile(const HeadPages& pages, const std::int32_t* table,
                            std::int64_t position, std::int64_t count, std::int64_t stride,
                            float* scratch) {
  const std::byte* rows = row_at(pages, table, position);
  if (pages.stored_size % kRowChunk == 0) {
    return {rows, pages.row_bytes, count, pages.stored_size, pages.type};
  }
  for (std::int64_t t = 0; t < count; ++t) {
    float* out = scratch + t * stride;
    pages.format->panel(rows + t * pages.row_bytes, pages.stored_size, out);
    for (std::int64_t i = pages.stored_size; i < stride; ++i) out[i] = 0.0F;
  }
  return {reinterpret_cast<const std::byte*>(scratch),
          stride * static_cast<std::int64_t>(sizeof(float)), count, stride, DType::F32};
}

/// cap * tanh(s / cap). For small arguments the series: 1 - 2 / (e^2x + 1) would cancel there.
template <class Number>
inline Number soft_capped(Number score, float cap) {
  const Number x = score / cap;
  const Number magnitude = x < Number{} ? -x : x;
  const Number s = x * x;
  const Number series =
      score * (1.0F + s * (-1.0F / 3.0F + s * (2.0F / 15.0F - s * (17.0F / 315.0F))));
  const Number t = 1.0F - 2.0F / (exponential(2.0F * magnitude) + 1.0F);
  return magnitude < Number{} + 0.1F ? series : x < Number{} ? -cap * t : cap * t;
}

struct Visible {
  std::int64_t begin;
  std::int64_t end;
};

/// Which of the tile's positions [tile, tile + count) the task's i-th row sees, counted from
/// `tile`.
inline Visible visible(const Attend& task, std::int64_t i, std::int64_t tile, std::int64_t count) {
  const std::int64_t last = task.first_position + i;
  const std::int64_t first = task.window > 0 ? last - task.window + 1 : 0;
  Visible seen{first - tile, last + 1 - tile};
  if (seen.begin < 0) seen.begin = 0;
  if (seen.end > count) seen.end = count;
  return seen;
}

/// Turns one row of scores into weights relative to the new largest score, and scales what was
/// summed before. A row that sees nothing of the tile gets weights 0 and keeps its sums.
inline void update_softmax(const Attend& task, const AttentionWork& work, std::int64_t r,
                           Visible seen, std::int64_t count) {
  float* weights = work.weights + r * kPageTokens;
  const float before = work.largest[r];
  const std::int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
  for (std::int64_t j = 0; j < whole; j += kLanes)
    store(weights + j, load(weights + j) * task.scale);
  if (task.soft_cap > 0.0F) {
    for (std::int64_t j = seen.begin; j < seen.end; ++j) {
      weights[j] = soft_capped(weights[j], task.soft_cap);
    }
  }
  const std::int64_t begin = seen.begin < whole ? seen.begin : whole;
  for (std::int64_t j = 0; j < begin; ++j) weights[j] = kNoScore;
  for (std::int64_t j = seen.end > begin ? seen.end : begin; j < whole; ++j) weights[j] = kNoScore;
  Floats top = broadcast(before);
  for (std::int64_t j = 0; j < whole; j += kLanes) top = larger(top, load(weights + j));
  const float largest = largest_lane(top);
  // Nothing visible yet (or every score -infinity): exp(-inf - -inf) would be NaN.
  const float base = largest == kNoScore ? 0.0F : largest;
  Floats total = {};
  for (std::int64_t j = 0; j < whole; j += kLanes) {
    const Floats w = exponential(load(weights + j) - base);
    store(weights + j, w);
    total += w;
  }
  const float correction = before == kNoScore ? 0.0F : exponential(before - base);
  work.largest[r] = largest;
  work.totals[r] = work.totals[r] * correction + sum_lanes(total);
  if (correction != 1.0F) {
    float* sums = work.sums + r * work.value_stride;
    for (std::int64_t i = 0; i < work.value_stride; i += kLanes) {
      store(sums + i, load(sums + i) * correction);
    }
  }
}

/// The same for the task's rows [first, end), all heads.
inline void update_rows(const Attend& task, const AttentionWork& work, std::int64_t first,
                        std::int64_t end, std::int64_t tile, std::int64_t count) {
  for (std::int64_t i = first; i < end; ++i) {
    const Visible seen = visible(task, i, tile, count);
    for (std::int64_t h = 0; h < task.heads; ++h) {
      update_softmax(task, work, i * task.heads + h, seen, count);
    }
  }
}

/// One tile for the task's rows [first, end): positions [begin, begin + count), all in one page.
struct TileOfRows {
  std::int64_t first;
  std::int64_t end;
  std::int64_t begin;
  std::int64_t count;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ATTENTION_WORK_INL
