#include "cpu/ops/product.hpp"

#include <array>

#include "cpu/ops/kernel.hpp"
#include "cpu/quant/packed.hpp"

namespace ingot::internal::cpu {
namespace {

/// Activation rows that share one decoded stripe of f32 weights. Decoding a weight costs about as
/// much as eight products with it, so at 256 it is a few percent.
constexpr std::int64_t kFloatRows = 256;

/// Weight bytes that a task of few rows reads: about 2 us of work, what a thread may have to wait
/// for another at the end.
constexpr std::int64_t kBytesPerTask = 32768;

// Rows of a tile of activations.
constexpr std::int64_t kPreparedTileRows = 16;

// Where row `row` of an input is prepared, a multiple of 16.
std::uint16_t* tiles_at(const Prepared& out, std::int64_t row) {
  return reinterpret_cast<std::uint16_t*>(out.first) +
         tile_offset(out.first_row + row, out.first_column, out.columns);
}

QuantizedRow quantized(const float* prepared, std::int64_t columns, std::int64_t row) {
  return {const_cast<float*>(prepared) + row * QuantizedRow::floats(columns), columns};
}

// The product over the task's weight rows [first, first + count).
Product part_of(const Product& task, std::int64_t first, std::int64_t count) {
  Product out = task;
  out.weight = slice(task.weight, first, count);
  if (out.bias != nullptr) out.bias += first;
  out.out += first;
  return out;
}

ManyRows in_floats(const Product& task, float* work) {
  return {.weight = task.weight,
          .in = task.in,
          .first_row = task.first_row,
          .rows = task.rows,
          .bias = task.bias,
          .out = task.out,
          .out_stride = task.out_stride,
          .panel = work};
}

// Whether few rows can be read from end to end (float_rows.inl).
bool is_few_floats(const Product& task) {
  return task.weight.format->lanes == nullptr && task.rows <= kFewRows &&
         task.weight.columns % kActivationBlock == 0;
}

void multiply_panel_floats(const KernelTable& table, const Product& task, float* work) {
  for (std::int64_t n = 0; n < task.weight.rows; n += kPanelRows) {
    table.many_rows(in_floats(part_of(task, n, std::min(kPanelRows, task.weight.rows - n)), work));
  }
}

void multiply_floats(const KernelTable& table, const Product& task, float* work) {
  if (is_few_floats(task)) return table.few_floats(in_floats(task, work));
  multiply_panel_floats(table, task, work);
}

void multiply_floats_in_order(const KernelTable& table, const Product& task, float* work) {
  if (is_few_floats(task)) return table.few_floats_in_order(in_floats(task, work));
  multiply_panel_floats(table, task, work);
}

// `loop` over `count` weight rows from `first`.
void multiply_quantized(const Product& task, std::int64_t first, std::int64_t count,
                        void (*loop)(const FewRows&)) {
  const Product part = part_of(task, first, count);
  std::array<QuantizedRow, kFewRows> in;
  for (std::int64_t i = 0; i < part.rows; ++i) {
    const std::int64_t row = part.first_row + i;
    in[static_cast<std::size_t>(i)] =
        quantized(part.prepared, part.in.columns,
                  part.prepared_index == nullptr ? row : part.prepared_index[row]);
  }
  loop({.weight = part.weight,
        .in = in.data(),
        .rows = part.rows,
        .bias = part.bias,
        .out = part.out,
        .out_stride = part.out_stride,
        .reused = part.reused});
}

void multiply_integers(const KernelTable& table, const Product& task, float*) {
  const std::int64_t packed = task.weight.packed_rows;
  if (packed > 0) {
    multiply_quantized(task, 0, packed, table.packed(task.weight.format->type).few_rows);
  }
  if (packed < task.weight.rows) {
    multiply_quantized(task, packed, task.weight.rows - packed, table.few_rows);
  }
}

// A few rows at a time: the weight rows of a task stay in the first-level cache.
void multiply_integer_blocks(const KernelTable& table, const Product& task, float* work) {
  for (std::int64_t r = 0; r < task.rows; r += kFewRows) {
    Product part = task;
    part.first_row += r;
    part.rows = std::min(kFewRows, task.rows - r);
    part.out += r * task.out_stride;
    multiply_integers(table, part, work);
  }
}

void multiply_panels(const KernelTable& table, const Product& task, float* work) {
  const std::int64_t packed = task.weight.packed_rows;
  if (packed > 0) {
    const Product part = part_of(task, 0, packed);
    const std::int64_t row_floats = QuantizedRow::floats(task.in.columns);
    const bool has_index = task.prepared_index != nullptr;
    table.packed(task.weight.format->type)
        .panels({.weight = part.weight,
                 .in = {.first = task.prepared + (has_index ? 0 : task.first_row * row_floats),
                        .stride = row_floats,
                        .index = has_index ? task.prepared_index + task.first_row : nullptr,
                        .count = task.rows,
                        .columns = task.in.columns},
                 .bias = part.bias,
                 .out = part.out,
                 .out_stride = part.out_stride,
                 .reused = part.reused,
                 .work = work});
  }
  if (packed < task.weight.rows) {
    multiply_floats(table, part_of(task, packed, task.weight.rows - packed), work);
  }
}

TileProduct on_tiles(const Product& task, float* work) {
  return {.weight = task.weight,
          .glu = {},
          .in = reinterpret_cast<const std::uint16_t*>(task.prepared) +
                tile_halves(task.first_row, task.in.columns),
          .rows = task.rows,
          .bias = task.bias,
          .out = task.out,
          .out_stride = task.out_stride,
          .reused = task.reused,
          .work = work};
}

void multiply_tiles(const KernelTable& table, const Product& task, float* work) {
  const std::int64_t packed = task.weight.packed_rows;
  const std::int64_t whole = task.weight.rows / kGroupRows * kGroupRows;
  if (packed > 0) {
    table.packed(task.weight.format->type).tiles(on_tiles(part_of(task, 0, packed), work));
  }
  if (packed < whole) table.file_tiles(on_tiles(part_of(task, packed, whole - packed), work));
  if (whole < task.weight.rows) {
    multiply_floats(table, part_of(task, whole, task.weight.rows - whole), work);
  }
}

// ---- forms

std::int64_t no_floats(std::int64_t, std::int64_t) {
  return 0;
}
std::int64_t quantized_floats(std::int64_t rows, std::int64_t columns) {
  return rows * QuantizedRow::floats(columns);
}
std::int64_t tile_floats(std::int64_t rows, std::int64_t columns) {
  return tile_halves(rows, columns) / 2;
}

void leave(const KernelTable&, const ActivationRows&, std::int64_t, const Prepared&) {}

// One row.
template <void (*KernelTable::*kQuantize)(const QuantizeRow&)>
void quantize(const KernelTable& table, const ActivationRows& in, std::int64_t row,
              const Prepared& out) {
  (table.*kQuantize)({.in = in.row(row),
                      .out = quantized(out.first, out.columns, out.first_row + row),
                      .first_column = out.first_column,
                      .columns = in.columns});
}

void pack(const KernelTable& table, const ActivationRows& in, std::int64_t block,
          const Prepared& out) {
  const std::int64_t first = block * kPreparedTileRows;
  table.pack_tiles({.in = in.index == nullptr ? in.row(first) : in.first,
                    .in_stride = in.stride,
                    .index = in.index == nullptr ? nullptr : in.index + first,
                    .rows = std::min(kPreparedTileRows, in.count - first),
                    .columns = in.columns,
                    .out = tiles_at(out, first)});
}

// ---- task shapes

TaskShape integer_tasks(const WeightRows& weight) {
  const std::int64_t rows = kBytesPerTask / std::max<std::int64_t>(1, weight.row_bytes);
  return {std::clamp<std::int64_t>(rows / kGroupRows * kGroupRows, kGroupRows, 256), kFewRows};
}
TaskShape integer_block_tasks(const WeightRows& weight) {
  return {integer_tasks(weight).weight_rows, kTileActivationRows};
}
TaskShape panel_tasks(const WeightRows&) {
  return {kIntegerPanelRows, kIntegerPanelActivations};
}
TaskShape tile_tasks(const WeightRows&) {
  return {kTileWeightRows, kTileActivationRows};
}
TaskShape float_tasks(const WeightRows&) {
  return {kPanelRows, kFloatRows};
}

// Parts of a MatMul on different paths share blocks of activation rows.
static_assert(kFloatRows == kTileActivationRows && kIntegerPanelActivations == kTileActivationRows);

// Rows behind the last whole group are multiplied as floats where the others are not.
constexpr std::int64_t kPanelFloats = kPanelRows * kPanelColumns;

}  // namespace

constinit const Form forms::plain = {"plain", 1, no_floats, leave};
constinit const Form forms::integers = {"integers", 1, quantized_floats,
                                        quantize<&KernelTable::quantize_row>};
constinit const Form forms::integers_in_order = {"integers in order", 1, quantized_floats,
                                                 quantize<&KernelTable::quantize_in_order>};
constinit const Form forms::tiles = {"tiles", kPreparedTileRows, tile_floats, pack};

constinit const Path paths::integers = {.name = "integers",
                                        .form = &forms::integers,
                                        .may_be_one = true,
                                        .work_floats = 0,
                                        .task_shape = integer_tasks,
                                        .multiply = multiply_integers};
constinit const Path paths::integer_blocks = {.name = "integer blocks",
                                              .form = &forms::integers,
                                              .may_be_one = false,
                                              .work_floats = 0,
                                              .task_shape = integer_block_tasks,
                                              .multiply = multiply_integer_blocks};
constinit const Path paths::panels = {
    .name = "panels",
    .form = &forms::integers_in_order,
    .may_be_one = false,
    .work_floats = std::max(kIntegerPanelWorkFloats, kPanelFloats),
    .task_shape = panel_tasks,
    .multiply = multiply_panels};
constinit const Path paths::tiles = {.name = "tiles",
                                     .form = &forms::tiles,
                                     .may_be_one = true,
                                     .work_floats = std::max(kTileWorkFloats, kPanelFloats),
                                     .task_shape = tile_tasks,
                                     .multiply = multiply_tiles};
constinit const Path paths::floats = {.name = "floats",
                                      .form = &forms::plain,
                                      .may_be_one = false,
                                      .work_floats = kPanelFloats,
                                      .task_shape = float_tasks,
                                      .multiply = multiply_floats};
constinit const Path paths::floats_in_order = {.name = "floats in order",
                                               .form = &forms::plain,
                                               .may_be_one = false,
                                               .work_floats = kPanelFloats,
                                               .task_shape = float_tasks,
                                               .multiply = multiply_floats_in_order};

WeightRows slice(const WeightRows& weight, std::int64_t first, std::int64_t count) {
  WeightRows out = weight;
  out.first += first * weight.row_bytes;
  out.rows = count;
  out.packed_rows = std::clamp<std::int64_t>(weight.packed_rows - first, 0, count);
  return out;
}

void prepare_all(const KernelTable& table, const ActivationRows& in, const Prepared& out) {
  for (std::int64_t b = 0; b * out.form->rows < in.count; ++b) {
    out.form->prepare(table, in, b, out);
  }
}

void multiply_all(const Path& path, const KernelTable& table, const Product& all, float* work) {
  const std::int64_t rows = path.task_shape(all.weight).weight_rows;
  for (std::int64_t n = 0; n < all.weight.rows; n += rows) {
    path.multiply(table, part_of(all, n, std::min(rows, all.weight.rows - n)), work);
  }
}

bool multiplies_side_by_side(const Path& path, const Form& next, const WeightRows& gate,
                             const WeightRows& up) {
  return &path == &paths::tiles && &next == &forms::tiles && gate.format == up.format &&
         gate.packed_rows == gate.rows && up.packed_rows == up.rows;
}

void multiply_glu(const Path& path, const KernelTable& table, const ops::Glu& glu,
                  const Product& gate, const Product& up, const Prepared& out, float* work) {
  const WeightRows& weight = gate.weight;
  if (multiplies_side_by_side(path, *out.form, weight, up.weight)) {
    TileProduct both = on_tiles(gate, work);
    both.glu = {up.weight.first,  up.bias,    glu.kind, static_cast<float>(glu.limit),
                tiles_at(out, 0), out.columns};
    return table.packed(weight.format->type).tiles(both);
  }
  multiply_all(path, table, gate, work);
  multiply_all(path, table, up, work);
  for (std::int64_t r = 0; r < gate.rows; ++r) {
    float* row = gate.out + r * gate.out_stride;
    table.glu(glu.kind, static_cast<float>(glu.limit), row, up.out + r * up.out_stride, row,
              weight.rows);
  }
  prepare_all(table, {gate.out, gate.out_stride, nullptr, gate.rows, weight.rows}, out);
}

}  // namespace ingot::internal::cpu
