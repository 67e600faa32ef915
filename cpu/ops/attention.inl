// Attention's frame: the running softmax over tiles of the cache. Scores and weighted sums are the
// business of one of three ways (attention_few.inl, attention_many.inl, attention_tiles.inl).
#include "cpu/ops/attention.hpp"
#include "cpu/ops/attention_few.inl"
#include "cpu/ops/attention_many.inl"
#include "cpu/ops/attention_tiles.inl"
#include "cpu/ops/attention_work.inl"
#include "cpu/ops/rotation.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// What weighted values are multiplied with: the inverse of their sum of weights, the sink's share
/// included.
inline float head_factor(float largest, float total, const float* sink) {
  float factor = 1.0F;
  if (sink != nullptr) {
    const float top = *sink > largest ? *sink : largest;
    factor = largest == kNoScore ? 0.0F : exponential(largest - top);
    total = total * factor + exponential(*sink - top);
  }
  return total == 0.0F ? 0.0F : factor / total;
}

/// `write` is how vectors are stored: store, stream.
template <class Write>
inline void finish_head(const float* sums, float factor, std::int64_t size, float* out,
                        Write&& write) {
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) write(out + i, load(sums + i) * factor);
  for (; i < size; ++i) out[i] = sums[i] * factor;
}

#if defined(__AMX_BF16__)
/// The same into tiles.
template <class Write>
inline void finish_head_in_tiles(const float* sums, float factor, std::int64_t size, float* out,
                                 Write&& write) {
  for (std::int64_t i = 0; i < size; i += kTileColumns, out += kTileHalves / 2) {
    write(out, to_bf16(load(sums + i) * factor, load(sums + i + kLanes) * factor));
  }
}
#endif

/// The tiles of a task, one after the other, each for the rows that see some of it.
template <class Way>
inline void attend_tiles(const Attend& task, const AttentionWork& work) {
  Way way(task, work);
  // No tile crosses a page, and the first begins where the first row's window does, or its page.
  std::int64_t tile = task.begin;
  if (task.window > 0 && task.first_position - task.window + 1 > tile) {
    tile = task.first_position - task.window + 1;
  }
  if (task.whole_pages && tile % kPageTokens != 0) tile -= tile % kPageTokens;
  while (tile < task.end) {
    std::int64_t count = kPageTokens - tile % kPageTokens;
    if (count > task.end - tile) count = task.end - tile;
    std::int64_t first = tile - task.first_position;  // the first row at or behind the tile's start
    if (first < 0) first = 0;
    std::int64_t end = task.rows;
    if (task.window > 0) {
      const std::int64_t beyond = tile + count - 1 + task.window - task.first_position;
      if (beyond < end) end = beyond;
    }
    if (first < end) way.attend({first, end, tile, count});
    tile += count;
  }
}

/// Where the result of query r goes, given its weighted values, largest score and sum of weights.
template <class Write>
inline void finish_query(const Attend& task, std::int64_t r, float* sums, float largest,
                         float total, Write&& write) {
  const std::int64_t row = r / task.heads;
  const std::int64_t head = r % task.heads;
  if (task.values.rotated) unrotate(sums, task.values.stored_size);
  if (task.split == nullptr) {
    const float factor =
        head_factor(largest, total, task.sinks != nullptr ? task.sinks + head : nullptr);
    const std::int64_t size = task.values.size;
#if defined(__AMX_BF16__)
    if (task.tiles.first != nullptr) {
      return finish_head_in_tiles(sums, factor, size, result(task, r), write);
    }
#endif
    return finish_head(sums, factor, size, result(task, r), write);
  }
  float* split = task.split + row * task.split_row_stride + head * task.split_stride;
  split[0] = largest;
  split[1] = total;
  __builtin_memcpy(split + kSplitHeadFloats, sums,
                   static_cast<std::size_t>(task.values.size) * sizeof(float));
}

/// At most kQueryRows rows, on vectors.
inline void attend_on_vectors(const Attend& task) {
  const AttentionWork work = carve(task);
  const std::int64_t queries = task.rows * task.heads;
  for (std::int64_t r = 0; r < queries; ++r) {
    float* copy = work.queries + r * work.key_stride;
    load_query(task, r, copy);
    for (std::int64_t i = task.keys.size; i < work.key_stride; ++i) copy[i] = 0.0F;
    // Scores are scalar products, which a rotation of both sides leaves as they are.
    if (task.keys.rotated) rotate(copy, task.keys.stored_size);
    work.largest[r] = kNoScore;
    work.totals[r] = 0.0F;
  }
  for (std::int64_t i = 0; i < queries * work.value_stride; ++i) work.sums[i] = 0.0F;
  if (queries <= task.in_place) {
    attend_tiles<AttendInPlace>(task, work);
  } else {
    attend_tiles<AttendDecoded>(task, work);
  }
  for (std::int64_t r = 0; r < queries; ++r) {
    finish_query(task, r, work.sums + r * work.value_stride, work.largest[r], work.totals[r],
                 store);
  }
}

/// Rows [first, first + count) of a task.
inline Attend rows_of(const Attend& task, std::int64_t first, std::int64_t count) {
  Attend part = task;
  part.query += first * task.query_stride;
  if (part.rotation.angles != nullptr) part.rotation.angles += first * task.rotation.rotary_size;
  part.rows = count;
  part.first_position += first;
  if (part.first_position + count < part.end) part.end = part.first_position + count;
  if (part.out != nullptr) part.out += first * task.out_stride;
  part.tiles.row += first;
  if (part.split != nullptr) part.split += first * task.split_row_stride;
  return part;
}

inline void attend(const Attend& task) {
  std::int64_t first = 0;
#if defined(__AMX_BF16__)
  if (task.rows_on_tiles > 0) {
    const Attend part = rows_of(task, 0, task.rows_on_tiles);
    // Past the caches, as results of products go (PlainRows): a store would fetch the line first.
    const auto finish = [&](std::int64_t r, float* sums, float largest, float total) {
      finish_query(part, r, sums, largest, total, stream);
    };
    // The rounding of 4-bit caches dwarfs bf16's; others get two bf16 per query, key and value.
    if (task.keys.type == DType::Q4_0 && task.values.type == DType::Q4_0) {
      AttendOnTiles<1>(part).run(finish);
    } else {
      AttendOnTiles<2>(part).run(finish);
    }
    finish_streams();
    first = task.rows_on_tiles;
  }
#endif
  for (; first < task.rows; first += task.rows_together) {
    const std::int64_t left = task.rows - first;
    attend_on_vectors(rows_of(task, first, left < task.rows_together ? left : task.rows_together));
  }
}

/// Both are weighted by exp(their largest - the largest of both). One that saw nothing (largest
/// -infinity, sum 0) changes nothing.
inline void add_splits(const AddSplits& task) {
  for (std::int64_t i = 0; i < task.count; ++i) {
    float* into = task.into + i * task.into_stride;
    const float* from = task.from + i * task.from_stride;
    if (from[0] == kNoScore && from[1] == 0.0F) continue;
    const float largest = from[0] > into[0] ? from[0] : into[0];
    // Of scores that are all -infinity: -inf - -inf would be NaN.
    const float base = largest == kNoScore ? 0.0F : largest;
    const float before = into[0] == kNoScore ? 0.0F : exponential(into[0] - base);
    const float weight = exponential(from[0] - base);
    into[0] = largest;
    into[1] = into[1] * before + from[1] * weight;
    // Whole vectors: there is room for them, and no element is treated as another one's rest.
    float* sums = into + kSplitHeadFloats;
    for (std::int64_t k = 0; k < task.size; k += kLanes) {
      store(sums + k, load(sums + k) * before + load(from + kSplitHeadFloats + k) * weight);
    }
  }
}

/// The splits are weighted by exp(their largest - the largest of all) and added in index order; a
/// split that saw nothing (largest -infinity, sum 0) weighs nothing.
inline void merge_splits(const MergeSplits& task) {
  float largest = kNoScore;
  for (std::int64_t s = 0; s < task.count; ++s) {
    const float candidate = task.splits[s * task.stride];
    largest = candidate > largest ? candidate : largest;
  }
  float total = 0.0F;
  for (std::int64_t i = 0; i < task.size; ++i) task.out[i] = 0.0F;
  for (std::int64_t s = 0; s < task.count; ++s) {
    const float* split = task.splits + s * task.stride;
    if (split[0] == kNoScore && split[1] == 0.0F) continue;
    const float weight = exponential(split[0] - largest);
    total += weight * split[1];
    for (std::int64_t i = 0; i < task.size; ++i) {
      task.out[i] += weight * split[kSplitHeadFloats + i];
    }
  }
  finish_head(task.out, head_factor(largest, total, task.sink), task.size, task.out, store);
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
