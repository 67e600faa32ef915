// Attention's loops: running softmax over decoded tiles; no cache type is named here.
#include "cpu/ops/attention.hpp"
#include "cpu/ops/dot_tile.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::cpu::INGOT_CPU_TARGET {

inline constexpr float kNoScore = -__builtin_inff();

/// Work space of one task. Query row r of the task's i-th row and h-th head is r = i * heads + h.
struct AttentionWork {
  float* keys;     ///< [kPageTokens, key_stride]
  float* values;   ///< [kPageTokens, value_stride]
  float* queries;  ///< [rows * heads, key_stride], padded with zeros
  float* weights;  ///< [rows * heads, kPageTokens]: scores, then exp(score - largest)
  float* sums;     ///< [rows * heads, value_stride]: weighted values
  float* largest;  ///< [rows * heads]
  float* totals;   ///< [rows * heads]
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
  work.keys = take(kPageTokens * work.key_stride);
  work.values = take(kPageTokens * work.value_stride);
  work.queries = take(kQueries * work.key_stride);
  work.sums = take(kQueries * work.value_stride);
  work.weights = take(kQueries * kPageTokens);
  work.largest = take(kQueries);
  work.totals = take(kQueries);
  return work;
}

/// Positions [begin, end) of one page, as f32 rows whose padding is zero.
inline void decode_tile(const HeadPages& pages, std::int32_t page, std::int64_t slot,
                        std::int64_t count, std::int64_t stride, float* out) {
  const std::byte* row = pages.first + page * pages.page_stride + slot * pages.row_bytes;
  for (std::int64_t t = 0; t < count; ++t, row += pages.row_bytes, out += stride) {
    pages.format->panel(row, pages.stored_size, out);
    for (std::int64_t i = pages.size; i < stride; ++i) out[i] = 0.0F;
  }
}

/// cap * tanh(s / cap). For small arguments the series: 1 - 2 / (e^2x + 1) would cancel there.
inline float soft_capped(float score, float cap) {
  const float x = score / cap;
  const float magnitude = x < 0.0F ? -x : x;
  if (magnitude < 0.1F) {
    const float s = x * x;
    return score * (1.0F + s * (-1.0F / 3.0F + s * (2.0F / 15.0F - s * (17.0F / 315.0F))));
  }
  const float t = 1.0F - 2.0F / (exponential(2.0F * magnitude) + 1.0F);
  return x < 0.0F ? -cap * t : cap * t;
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
  float largest = before;
  for (std::int64_t j = seen.begin; j < seen.end; ++j) {
    float score = weights[j] * task.scale;
    if (task.soft_cap > 0.0F) score = soft_capped(score, task.soft_cap);
    weights[j] = score;
    largest = score > largest ? score : largest;
  }
  for (std::int64_t j = 0; j < seen.begin; ++j) weights[j] = kNoScore;
  const std::int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
  for (std::int64_t j = seen.end > seen.begin ? seen.end : seen.begin; j < whole; ++j) {
    weights[j] = kNoScore;
  }
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
  work.totals[r] = work.totals[r] * correction + sum(total);
  if (correction != 1.0F) {
    float* sums = work.sums + r * work.value_stride;
    for (std::int64_t i = 0; i < work.value_stride; i += kLanes) {
      store(sums + i, load(sums + i) * correction);
    }
  }
}

/// sums[r] += sum over positions of weights[r][j] * values[j], for kRows query rows.
template <int kRows>
inline void add_values(const AttentionWork& work, std::int64_t r, std::int64_t count) {
  constexpr int kColumns = 2;  // vectors; value rows are padded to 16 floats
  constexpr int kStep = kLanes * kColumns <= 16 ? kColumns : 1;
  const float* weights = work.weights + r * kPageTokens;
  for (std::int64_t c = 0; c < work.value_stride; c += kStep * kLanes) {
    Floats sums[kRows][kStep];
    for (int m = 0; m < kRows; ++m) {
      for (int v = 0; v < kStep; ++v) {
        sums[m][v] = load(work.sums + (r + m) * work.value_stride + c + v * kLanes);
      }
    }
    for (std::int64_t j = 0; j < count; ++j) {
      Floats value[kStep];
      for (int v = 0; v < kStep; ++v) {
        value[v] = load(work.values + j * work.value_stride + c + v * kLanes);
      }
      for (int m = 0; m < kRows; ++m) {
        const float weight = weights[m * kPageTokens + j];
        for (int v = 0; v < kStep; ++v) sums[m][v] += value[v] * weight;
      }
    }
    for (int m = 0; m < kRows; ++m) {
      for (int v = 0; v < kStep; ++v) {
        store(work.sums + (r + m) * work.value_stride + c + v * kLanes, sums[m][v]);
      }
    }
  }
}

/// One tile of cache positions for the rows [first, end) of the task that see some of it.
inline void attend_tile(const Attend& task, const AttentionWork& work, std::int64_t tile,
                        std::int64_t count) {
  std::int64_t first = tile - task.first_position;  // the first row at or behind the tile's start
  if (first < 0) first = 0;
  std::int64_t end = task.rows;
  if (task.window > 0) {
    const std::int64_t beyond = tile + count - 1 + task.window - task.first_position;
    if (beyond < end) end = beyond;
  }
  if (first >= end) return;

  const std::int32_t page = task.pages[tile / kPageTokens];
  const std::int64_t slot = tile % kPageTokens;
  decode_tile(task.keys, page, slot, count, work.key_stride, work.keys);
  decode_tile(task.values, page, slot, count, work.value_stride, work.values);

  const std::int64_t r0 = first * task.heads;
  const std::int64_t queries = (end - first) * task.heads;
  float* weights = work.weights + r0 * kPageTokens;
  dot_all(work.queries + r0 * work.key_stride, work.key_stride, queries, work.keys, work.key_stride,
          count, work.key_stride, [weights](std::int64_t r, std::int64_t j, float value) {
            weights[r * kPageTokens + j] = value;
          });
  for (std::int64_t i = first; i < end; ++i) {
    const Visible seen = visible(task, i, tile, count);
    for (std::int64_t h = 0; h < task.heads; ++h) {
      update_softmax(task, work, i * task.heads + h, seen, count);
    }
  }
  std::int64_t r = r0;
  for (; r + 4 <= r0 + queries; r += 4) add_values<4>(work, r, count);
  for (; r < r0 + queries; ++r) add_values<1>(work, r, count);
}

/// Divides by the sum, the sink's share included.
inline void finish_head(const float* sums, float largest, float total, const float* sink,
                        std::int64_t size, float* out) {
  float factor = 1.0F;
  if (sink != nullptr) {
    const float top = *sink > largest ? *sink : largest;
    factor = largest == kNoScore ? 0.0F : exponential(largest - top);
    total = total * factor + exponential(*sink - top);
  }
  const float inverse = total == 0.0F ? 0.0F : factor / total;
  for (std::int64_t i = 0; i < size; ++i) out[i] = sums[i] * inverse;
}

inline void attend(const Attend& task) {
  const AttentionWork work = carve(task);
  const std::int64_t queries = task.rows * task.heads;
  for (std::int64_t r = 0; r < queries; ++r) {
    const float* q =
        task.query + r / task.heads * task.query_stride + r % task.heads * task.keys.size;
    float* copy = work.queries + r * work.key_stride;
    __builtin_memcpy(copy, q, static_cast<std::size_t>(task.keys.size) * sizeof(float));
    for (std::int64_t i = task.keys.size; i < work.key_stride; ++i) copy[i] = 0.0F;
    work.largest[r] = kNoScore;
    work.totals[r] = 0.0F;
  }
  for (std::int64_t i = 0; i < queries * work.value_stride; ++i) work.sums[i] = 0.0F;

  // No tile crosses a page, and the first begins where the first row's window does.
  std::int64_t tile = task.begin;
  if (task.window > 0 && task.first_position - task.window + 1 > tile) {
    tile = task.first_position - task.window + 1;
  }
  while (tile < task.end) {
    std::int64_t count = kPageTokens - tile % kPageTokens;
    if (count > task.end - tile) count = task.end - tile;
    attend_tile(task, work, tile, count);
    tile += count;
  }

  for (std::int64_t r = 0; r < queries; ++r) {
    const std::int64_t row = r / task.heads;
    const std::int64_t head = r % task.heads;
    const float* sums = work.sums + r * work.value_stride;
    if (task.split == nullptr) {
      finish_head(sums, work.largest[r], work.totals[r],
                  task.sinks != nullptr ? task.sinks + head : nullptr, task.values.size,
                  task.out + row * task.out_stride + head * task.values.size);
      continue;
    }
    float* split = task.split + row * task.split_row_stride + head * task.split_stride;
    split[0] = work.largest[r];
    split[1] = work.totals[r];
    __builtin_memcpy(split + kSplitHeadFloats, sums,
                     static_cast<std::size_t>(task.values.size) * sizeof(float));
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
  finish_head(task.out, largest, total, task.sink, task.size, task.out);
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET
