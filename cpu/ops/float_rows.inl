// Few rows of activations times F32, F16 or BF16 weights: a weight is read once, from end to end of
// a row, and decoded in registers.
#include "cpu/ops/matmul.hpp"
#include "cpu/ops/row_counts.inl"
#include "cpu/ops/streams.inl"
#include "cpu/quant/cache_rows.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Adds a weight row's columns [from, to), a multiple of 32 apart, times kRows rows to totals. Sums
/// that do not wait for each other hide the latency of a multiply-add, as far as registers go.
template <class Row, int kRows>
inline void add_float_columns(const std::byte* row, const float* const (&in)[kRows],
                              std::int64_t from, std::int64_t to, Floats (&totals)[kRows]) {
  constexpr int kMost = 8 / kRows;
  constexpr int kSums = kChunkVectors < kMost ? kChunkVectors : kMost;
  Floats sums[kRows][kSums] = {};
  for (std::int64_t chunk = from / kRowChunk; chunk < to / kRowChunk; ++chunk) {
    const std::byte* later = row + kRowChunk * Row::kBytes * chunk + kPrefetchBytes;
    unrolled<kChunkVectors>([&](auto number) __attribute__((always_inline)) {
      constexpr int part = decltype(number)::kValue;
      prefetch_share<kRowChunk * Row::kBytes / 64, part, kChunkVectors>(later);
      const Floats weight = Row::at(row, chunk, part);
      for (int m = 0; m < kRows; ++m) {
        sums[m][part % kSums] += weight * load(in[m] + kRowChunk * chunk + kLanes * part);
      }
    });
  }
  for (int m = 0; m < kRows; ++m) {
    for (int i = 1; i < kSums; ++i) sums[m][0] += sums[m][i];
    totals[m] += sums[m][0];
  }
}

/// The same of one activation row with one sum per lane, as panels add (dot_tile.inl), whatever the
/// number of rows: lanes are added where columns end.
template <class Row, int kRows>
inline void dot_float_columns(const std::byte* row, const float* const (&in)[kRows],
                              std::int64_t from, std::int64_t to, float (&dots)[kRows]) {
  Floats sums[kRows] = {};
  for (std::int64_t chunk = from / kRowChunk; chunk < to / kRowChunk; ++chunk) {
    const std::byte* later = row + kRowChunk * Row::kBytes * chunk + kPrefetchBytes;
    unrolled<kChunkVectors>([&](auto number) __attribute__((always_inline)) {
      constexpr int part = decltype(number)::kValue;
      prefetch_share<kRowChunk * Row::kBytes / 64, part, kChunkVectors>(later);
      const Floats weight = Row::at(row, chunk, part);
      for (int m = 0; m < kRows; ++m) {
        sums[m] += weight * load(in[m] + kRowChunk * chunk + kLanes * part);
      }
    });
  }
  for (int m = 0; m < kRows; ++m) dots[m] = sum(sums[m]);
}

/// float_rows_at() with the bits that multiply_many_rows() gives.
template <class Row, int kRows, int kPlaces>
inline void ordered_float_rows_at(const ManyRows& task, const float* const (&in)[kRows],
                                  std::int64_t n, std::int64_t step) {
  const std::int64_t row_bytes = task.weight.row_bytes;
  const std::byte* weight = task.weight.first + n * row_bytes;
  float totals[kPlaces][kRows] = {};
  for (std::int64_t k = 0; k < task.weight.columns; k += kPanelColumns) {
    const std::int64_t left = task.weight.columns - k;
    const std::int64_t end = k + (left < kPanelColumns ? left : kPanelColumns);
    for (int i = 0; i < kPlaces; ++i) {
      float dots[kRows];
      dot_float_columns<Row>(weight + i * step * row_bytes, in, k, end, dots);
      const float bias = task.bias != nullptr ? task.bias[n + i * step] : 0.0F;
      for (int m = 0; m < kRows; ++m) {
        if (k > 0) {
          totals[i][m] += dots[m];
        } else {
          totals[i][m] = task.bias != nullptr ? dots[m] + bias : dots[m];
        }
      }
    }
  }
  for (int m = 0; m < kRows; ++m) {
    const std::int64_t row = m < task.rows ? m : task.rows - 1;
    for (int i = 0; i < kPlaces; ++i) task.out[row * task.out_stride + n + i * step] = totals[i][m];
  }
}

/// The kPlaces weight rows n, n + step, .. times kRows rows, a stretch of each in turns. `task` has
/// at most kRows rows.
template <class Row, int kRows, int kPlaces>
inline void float_rows_at(const ManyRows& task, const float* const (&in)[kRows], std::int64_t n,
                          std::int64_t step) {
  const std::int64_t row_bytes = task.weight.row_bytes;
  const std::byte* weight = task.weight.first + n * row_bytes;
  Floats totals[kPlaces][kRows] = {};
  for (std::int64_t k = 0; k < task.weight.columns; k += kPanelColumns) {
    const std::int64_t left = task.weight.columns - k;
    const std::int64_t end = k + (left < kPanelColumns ? left : kPanelColumns);
    for (int i = 0; i < kPlaces; ++i) {
      add_float_columns<Row, kRows>(weight + i * step * row_bytes, in, k, end, totals[i]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    const std::int64_t row = m < task.rows ? m : task.rows - 1;
    for (int i = 0; i < kPlaces; ++i) {
      const std::int64_t column = n + i * step;
      task.out[row * task.out_stride + column] =
          sum_lanes(totals[i][m]) + (task.bias != nullptr ? task.bias[column] : 0.0F);
    }
  }
}

template <class Row, bool kInOrder, int kRows>
inline void float_rows(const ManyRows& task, const float* const (&in)[kRows]) {
  in_streams<2>(task.weight.rows, task.weight.rows * task.weight.row_bytes,
                [&](auto places, std::int64_t n, std::int64_t step) {
                  constexpr int kPlaces = decltype(places)::kValue;
                  if constexpr (kInOrder) {
                    ordered_float_rows_at<Row, kRows, kPlaces>(task, in, n, step);
                  } else {
                    float_rows_at<Row, kRows, kPlaces>(task, in, n, step);
                  }
                });
}

/// At most kFewRows rows; the weight's columns are a multiple of 32. kInOrder: with the bits that
/// multiply_many_rows() gives, whatever the number of rows.
template <bool kInOrder>
inline void multiply_few_floats(const ManyRows& task) {
  const auto multiply = [&](auto row) {
    with_row_count(
        task.rows, [&](std::int64_t m) { return task.in.row(task.first_row + m); },
        [&](const auto& in) { float_rows<decltype(row), kInOrder>(task, in); });
  };
  switch (task.weight.format->type) {
    case DType::F32: return multiply(F32Row{});
    case DType::F16: return multiply(F16Row{});
    case DType::BF16: return multiply(BF16Row{});
    default: return;  // the types without lanes are these
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
