// Few rows of activations times F32, F16 or BF16 weights: a weight is read once, from end to end of
// a row, and decoded in registers.
#include "cpu/ops/matmul.hpp"
#include "cpu/ops/row_counts.inl"
#include "cpu/quant/cache_rows.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

namespace ingot::cpu::INGOT_CPU_TARGET {

/// Adds a weight row's columns [from, to), a multiple of 32 apart, times kRows rows to totals. Sums
/// that do not wait for each other hide the latency of a multiply-add, as far as registers go.
template <class Row, int kRows>
inline void add_float_columns(const std::byte* row, const float* const (&in)[kRows],
                              std::int64_t from, std::int64_t to, Floats (&totals)[kRows]) {
  constexpr int kMost = 8 / kRows;
  constexpr int kSums = kChunkVectors < kMost ? kChunkVectors : kMost;
  Floats sums[kRows][kSums] = {};
  for (std::int64_t chunk = from / kRowChunk; chunk < to / kRowChunk; ++chunk) {
    prefetch_lines(row + kRowChunk * Row::kBytes * chunk + kPrefetchBytes,
                   kRowChunk * Row::kBytes / 64);
    unrolled<kChunkVectors>([&](auto number) __attribute__((always_inline)) {
      constexpr int part = decltype(number)::kValue;
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

/// `task` has at most kRows rows.
template <class Row, int kRows>
inline void float_rows(const ManyRows& task, const float* const (&in)[kRows]) {
  const std::byte* weight = task.weight.first;
  for (std::int64_t n = 0; n < task.weight.rows; ++n, weight += task.weight.row_bytes) {
    Floats totals[kRows] = {};
    for (std::int64_t k = 0; k < task.weight.columns; k += kPanelColumns) {
      const std::int64_t left = task.weight.columns - k;
      add_float_columns<Row, kRows>(weight, in, k,
                                    k + (left < kPanelColumns ? left : kPanelColumns), totals);
    }
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t row = m < task.rows ? m : task.rows - 1;
      task.out[row * task.out_stride + n] =
          sum_lanes(totals[m]) + (task.bias != nullptr ? task.bias[n] : 0.0F);
    }
  }
}

/// At most kFewRows rows; the weight's columns are a multiple of 32.
inline void multiply_few_floats(const ManyRows& task) {
  const auto multiply = [&](auto row) {
    with_row_count(
        task.rows, [&](std::int64_t m) { return task.in.row(task.first_row + m); },
        [&](const auto& in) { float_rows<decltype(row)>(task, in); });
  };
  switch (task.weight.format->type) {
    case DType::F32: return multiply(F32Row{});
    case DType::F16: return multiply(F16Row{});
    case DType::BF16: return multiply(BF16Row{});
    default: return;  // the types without lanes are these
  }
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET
