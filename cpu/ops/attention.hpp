// Arguments of the Attention loops (attention.inl).
//
// One task is some query heads of one KV head, for a block of rows of one sequence, over a range of
// the cache, in tiles of at most a page; the softmax is kept running (maximum, sum, weighted
// values), so memory does not grow with the cache. Up to kFewQueries queries read the cache in
// place, decoding in registers (attention_few.inl); more share tiles that are decoded once, to f32
// (attention_many.inl) or, where the target has matrix units, to bf16 (attention_tiles.inl). Steps
// of few rows cut the cache into splits of a fixed length, which become tasks of their own and are
// merged in index order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/quant/seam.hpp"
#include "src/program/step.hpp"

namespace ingot::cpu {

/// Query rows per task: sharing a decoded tile among 16 makes decoding cheap beside the products.
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

struct Attend {
  const float* query = nullptr;  ///< first row, first head of the task
  std::int64_t query_stride = 0;
  std::int64_t rows = 0;  ///< with heads, at most kQueryRows * kQueryHeads queries
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
  float* split = nullptr;         ///< if set, statistics go here instead: first row, first head
  std::int64_t split_stride = 0;  ///< floats from head to head
  std::int64_t split_row_stride = 0;
  float* work = nullptr;  ///< attend_floats(...) of the worker
};

/// Floats of work space that a task needs, whichever way it goes (AttentionWork in attention.inl).
constexpr std::int64_t attend_floats(std::int64_t key_stored, std::int64_t value_stored) {
  const std::int64_t queries = kQueryRows * kQueryHeads;
  const std::int64_t keys = padded(key_stored);
  const std::int64_t values = padded(value_stored);
  return kPageTokens * 2 * (keys + values) + queries * (2 * keys + values + 2 * kPageTokens + 2);
}

/// One head of one row, from its splits.
struct MergeSplits {
  const float* splits = nullptr;  ///< the head's first split
  std::int64_t stride = 0;        ///< floats from split to split
  std::int64_t count = 0;
  std::int64_t size = 0;        ///< value elements
  const float* sink = nullptr;  ///< one logit or null
  float* out = nullptr;         ///< [size]
};

}  // namespace ingot::cpu
