// Activations times a transposed weight in the file's order: decoded in panels of some rows, each
// multiplied with all rows of the task. Interleaved weights: packed_columns.inl.
#include "cpu/ops/latent_attention.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// out[r] += sum over the panel's `count` rows n of in[r][n] * panel[n].
inline void add_panel_rows(const TransposedProduct& task, const float* in, std::int64_t count,
                           bool is_first) {
  const std::int64_t columns = task.weight.columns;
  const std::int64_t stride = transposed_panel_stride(columns);
  for (std::int64_t r = 0; r < task.rows; ++r) {
    const float* factors = in + r * task.in_stride;
    float* out = task.out + r * task.out_stride;
    for (std::int64_t k = 0; k < columns; k += kLanes) {
      const std::int64_t left = columns - k < kLanes ? columns - k : kLanes;
      Floats sums = is_first ? Floats{} : load_part(out + k, left);
      for (std::int64_t n = 0; n < count; ++n) {
        sums += load(task.work + n * stride + k) * factors[n];
      }
      store_part(out + k, sums, left);
    }
  }
}

inline void multiply_transposed(const TransposedProduct& task) {
  const std::int64_t stride = transposed_panel_stride(task.weight.columns);
  for (std::int64_t first = 0; first < task.weight.rows; first += kTransposedPanelRows) {
    const std::int64_t left = task.weight.rows - first;
    const std::int64_t count = left < kTransposedPanelRows ? left : kTransposedPanelRows;
    const std::byte* row = task.weight.first + first * task.weight.row_bytes;
    for (std::int64_t n = 0; n < count; ++n, row += task.weight.row_bytes) {
      float* decoded = task.work + n * stride;
      task.weight.format->panel(row, task.weight.columns, decoded);
      for (std::int64_t k = task.weight.columns; k < stride; ++k) decoded[k] = 0.0F;
    }
    add_panel_rows(task, task.in + first, count, first == 0);
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
