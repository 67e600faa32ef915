// Arguments of the Attention loops (attention.inl).
//
// One task is some query heads of one KV head, for a block of rows of one sequence, over a range of
// the cache; the softmax is kept running (maximum, sum, weighted values), so memory does not grow
// with the cache. Where the target has matrix units, the task's queries share blocks of the cache
// in bf16 tiles (attention_tiles.inl). Else kQueryRows rows at a time share a page that is decoded
// to f32 once (attention_many.inl), or, if they are no more than kFewQueries queries, read it in
// place, decoding in registers (attention_few.inl); so do as few queries on matrix units. Steps of
// few rows cut the cache into splits of a fixed length, which become tasks of their own and are
// merged in index order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/quant/seam.hpp"
#include "src/ops/rope.hpp"
#include "src/program/step.hpp"
#include "src/state/page_layout.hpp"

namespace ingot::internal::cpu {

/// Query rows that share a decoded page: with 16, decoding is cheap beside the products. Tasks have
/// whole multiples of them, except at the end of a sequence.
inline constexpr std::int64_t kQueryRows = 16;

/// Query heads of one KV head per task; wider groups become several tasks.
inline constexpr std::int64_t kQueryHeads = 8;

/// Query rows times heads up to which the cache is read in place: more would decode it twice.
inline constexpr std::int64_t kFewQueries = 8;

/// Cache positions per split, and the most rows a step may have to be split.
inline constexpr std::int64_t kSplitTokens = 512;
inline constexpr std::int64_t kSplitRows = 8;

/// Floats that a row of `size` takes in work space: whole cache lines, and whole chunks of the
/// loops.
constexpr std::int64_t padded(std::int64_t size) {
  return (size + 31) / 32 * 32;
}

/// The keys or the values of one KV head.
struct HeadPages {
  const std::byte* first = nullptr;  ///< the head's first row of page 0
  std::int64_t bundle_stride = 0;    ///< bytes from bundle to bundle (StateRows)
  std::int64_t row_bytes = 0;
  std::int64_t size = 0;         ///< elements of a row
  std::int64_t stored_size = 0;  ///< the same, padded to whole blocks of the cache type
  DType type = DType::F32;
  const FormatKernels* format = nullptr;
  bool rotated = false;  ///< stored under src/state/row_rotation.hpp
};

/// Statistics of one query row and head over one split, then `padded(value_size)` weighted values.
struct SplitHead {
  float largest = 0;  ///< of the scores; -infinity if none was visible
  float sum = 0;      ///< of exp(score - largest)
};
inline constexpr std::int64_t kSplitHeadFloats = 16;  // keeps the values on a cache line

/// How queries turn when they are read, if nobody has rotated them before (rope.hpp).
struct QueryRotation {
  const float* angles = nullptr;  ///< of the task's first row; null: they do not
  std::int64_t rotary_size = 0;
  std::int64_t rotary_offset = 0;
  ops::RopeLayout layout = ops::RopeLayout::norm;
};

/// Results as the input of a product on matrix units (tile_product.hpp). Sizes of values are
/// multiples of 32.
struct ResultTiles {
  std::uint16_t* first = nullptr;  ///< of all rows and heads; null: results are f32
  std::int64_t columns = 0;
  std::int64_t row = 0;     ///< of the task's first row
  std::int64_t column = 0;  ///< of its first head
};

struct Attend {
  const float* query = nullptr;  ///< first row, first head of the task
  std::int64_t query_stride = 0;
  QueryRotation rotation;
  std::int64_t rows = 0;  ///< at most rows_per_task(...)
  std::int64_t heads = 0;
  HeadPages keys;
  HeadPages values;
  const std::int32_t* pages = nullptr;  ///< the sequence's page table
  std::int64_t first_position = 0;      ///< of the first row; the others follow
  std::int64_t begin = 0;               ///< cache positions looked at: [begin, end)
  std::int64_t end = 0;
  std::int64_t window = 0;  ///< 0: unlimited
  float scale = 1;
  float soft_cap = 0;            ///< 0: none
  const float* sinks = nullptr;  ///< [heads] or null; not with splits
  float* out = nullptr;          ///< first row, first head
  std::int64_t out_stride = 0;
  ResultTiles tiles;              ///< if set, results go there instead
  float* split = nullptr;         ///< if set, statistics go here instead: first row, first head
  std::int64_t split_stride = 0;  ///< floats from head to head
  std::int64_t split_row_stride = 0;
  // Set by AttentionPaths (choose.hpp).
  std::int64_t rows_on_tiles = 0;           ///< the first ones
  std::int64_t rows_together = kQueryRows;  ///< of the others
  std::int64_t in_place = kFewQueries;  ///< the most queries together that read the cache in place
  bool whole_pages = false;  ///< a page is read from its start, wherever the first row's window is
  float* work = nullptr;     ///< attend_floats(...) of the worker
};

/// Queries of a task on tiles, at most: queries and their sums take half of a second-level cache of
/// 2 MiB, where the heads are not large.
constexpr std::int64_t tile_queries(std::int64_t key_stored, std::int64_t value_stored) {
  constexpr std::int64_t kFloats = (std::int64_t{1} << 20) / 4;
  constexpr std::int64_t kWhole = kQueryRows * kQueryHeads;
  const std::int64_t queries = kFloats / (padded(key_stored) + padded(value_stored));
  return std::clamp<std::int64_t>(queries / kWhole, 1, 8) * kWhole;
}

/// Cache positions that tasks on tiles take at once, whole pages: at most half a megabyte in tiles,
/// where the heads are not large.
constexpr std::int64_t tile_block_positions(std::int64_t key_stored, std::int64_t value_stored) {
  constexpr std::int64_t kFloats = (std::int64_t{1} << 19) / 4;
  const std::int64_t positions = kFloats / (padded(key_stored) + padded(value_stored));
  return std::clamp<std::int64_t>(positions / kPageTokens, 1, 4) * kPageTokens;
}

/// Rows of a task with so many heads, at most, a multiple of kQueryRows.
constexpr std::int64_t rows_per_task(std::int64_t heads, std::int64_t key_stored,
                                     std::int64_t value_stored) {
  return tile_queries(key_stored, value_stored) / heads / kQueryRows * kQueryRows;
}

/// Floats of work space that a task needs, whichever way it goes (AttentionWork in
/// attention_work.inl, TaskTiles in attention_tiles.inl).
constexpr std::int64_t attend_floats(std::int64_t key_stored, std::int64_t value_stored) {
  const std::int64_t keys = padded(key_stored);
  const std::int64_t values = padded(value_stored);
  constexpr std::int64_t kVectorQueries = kQueryRows * kQueryHeads;
  const std::int64_t vectors =
      kPageTokens * 2 * (keys + values) + kVectorQueries * (keys + values + kPageTokens + 2);
  const std::int64_t queries = tile_queries(key_stored, value_stored);
  const std::int64_t positions = tile_block_positions(key_stored, value_stored);
  const std::int64_t tiles =
      (queries + positions + 16) * (keys + values) + 6 * 16 * positions + 2 * queries;
  return std::max(vectors, tiles);
}

/// Adds splits to others of the same rows and heads, one each: how splits in index order become
/// one.
struct AddSplits {
  float* into = nullptr;  ///< [count] of `stride` floats each
  const float* from = nullptr;
  std::int64_t into_stride = 0;
  std::int64_t from_stride = 0;
  std::int64_t count = 0;
  std::int64_t size = 0;  ///< value elements
};

/// One head of one row, from its splits.
struct MergeSplits {
  const float* splits = nullptr;  ///< the head's first split
  std::int64_t stride = 0;        ///< floats from split to split
  std::int64_t count = 0;
  std::int64_t size = 0;        ///< value elements
  const float* sink = nullptr;  ///< one logit or null
  float* out = nullptr;         ///< [size]
};

}  // namespace ingot::internal::cpu
