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

void multiply_floats(const KernelTable& table, const Product& task, float* work) {
  const bool has_lanes = task.weight.format->lanes != nullptr;
  if (!has_lanes && task.rows <= kFewRows && task.weight.columns % kActivationBlock == 0) {
    return table.few_floats(in_floats(task, work));
  }
  for (std::int64_t n = 0; n < task.weight.rows; n += kPanelRows) {
    table.many_rows(in_floats(part_of(task, n, std::min(kPanelRows, task.weight.rows - n)), work));
  }
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

void multiply_integers(const KernelTable& table, const Product& task) {
  const std::int64_t packed = task.weight.packed_rows;
  if (packed > 0) {
    multiply_quantized(task, 0, packed, table.packed(task.weight.format->type).few_rows);
  }
  if (packed < task.weight.rows) {
    multiply_quantized(task, packed, task.weight.rows - packed, table.few_rows);
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

}  // namespace

WeightRows slice(const WeightRows& weight, std::int64_t first, std::int64_t count) {
  WeightRows out = weight;
  out.first += first * weight.row_bytes;
  out.rows = count;
  out.packed_rows = std::clamp<std::int64_t>(weight.packed_rows - first, 0, count);
  return out;
}

Path path_of(const KernelTable& table, const FormatKernels& format, std::int64_t rows) {
  if (format.lanes == nullptr) return Path::floats;
  if (rows <= kFewRows) return Path::integers;
  if (table.file_tiles != nullptr) return Path::tiles;
  // Reading a format that has no interleaved order costs more than its products.
  return format.pack != nullptr ? Path::panels : Path::floats;
}

std::int64_t prepared_floats(Path path, std::int64_t rows, std::int64_t columns) {
  switch (path) {
    case Path::integers:
    case Path::panels: return rows * QuantizedRow::floats(columns);
    case Path::tiles: return tile_halves(rows, columns) / 2;
    case Path::floats: return 0;
  }
  return 0;
}

std::int64_t prepared_rows(Path path) {
  return path == Path::tiles ? 16 : 1;
}

void prepare(const KernelTable& table, const ActivationRows& in, std::int64_t block,
             const Prepared& out) {
  const std::int64_t first = block * prepared_rows(out.path);
  switch (out.path) {
    case Path::integers:
    case Path::panels: {
      const bool is_few = out.path == Path::integers;
      const auto quantize = is_few ? table.quantize_row : table.quantize_in_order;
      quantize({.in = in.row(first),
                .out = quantized(out.first, out.columns, out.first_row + first),
                .first_column = out.first_column,
                .columns = in.columns});
      return;
    }
    case Path::tiles:
      table.pack_tiles({.in = in.index == nullptr ? in.row(first) : in.first,
                        .in_stride = in.stride,
                        .index = in.index == nullptr ? nullptr : in.index + first,
                        .rows = std::min(prepared_rows(out.path), in.count - first),
                        .columns = in.columns,
                        .out = tiles_at(out, first)});
      return;
    case Path::floats: return;
  }
}

void prepare_all(const KernelTable& table, const ActivationRows& in, const Prepared& out) {
  for (std::int64_t b = 0; b * prepared_rows(out.path) < in.count; ++b) prepare(table, in, b, out);
}

// Parts of a MatMul on different paths share blocks of activation rows.
static_assert(kFloatRows == kTileActivationRows && kIntegerPanelActivations == kTileActivationRows);

TaskShape task_shape(Path path, const WeightRows& weight) {
  switch (path) {
    case Path::integers: {
      const std::int64_t rows = kBytesPerTask / std::max<std::int64_t>(1, weight.row_bytes);
      return {std::clamp<std::int64_t>(rows / kGroupRows * kGroupRows, kGroupRows, 256), kFewRows};
    }
    case Path::panels: return {kIntegerPanelRows, kIntegerPanelActivations};
    case Path::tiles: return {kTileWeightRows, kTileActivationRows};
    case Path::floats: return {kPanelRows, kFloatRows};
  }
  return {};
}

std::int64_t product_work_floats(Path path) {
  constexpr std::int64_t kPanel = kPanelRows * kPanelColumns;
  switch (path) {
    case Path::integers: return 0;
    case Path::panels: return std::max(kIntegerPanelWorkFloats, kPanel);
    case Path::tiles: return std::max(kTileWorkFloats, kPanel);
    case Path::floats: return kPanel;
  }
  return 0;
}

std::int64_t product_work_floats(const KernelTable& table, const FormatKernels& format) {
  return std::max(product_work_floats(path_of(table, format, kFewRows)),
                  product_work_floats(path_of(table, format, kFewRows + 1)));
}

bool may_be_one(Path path) {
  return path == Path::integers || path == Path::tiles;
}

void multiply(const KernelTable& table, const Product& task, float* work) {
  switch (task.path) {
    case Path::integers: return multiply_integers(table, task);
    case Path::panels: return multiply_panels(table, task, work);
    case Path::tiles: return multiply_tiles(table, task, work);
    case Path::floats: return multiply_floats(table, task, work);
  }
}

void multiply_all(const KernelTable& table, const Product& all, float* work) {
  const std::int64_t rows = task_shape(all.path, all.weight).weight_rows;
  for (std::int64_t n = 0; n < all.weight.rows; n += rows) {
    multiply(table, part_of(all, n, std::min(rows, all.weight.rows - n)), work);
  }
}

bool multiplies_side_by_side(Path path, Path next, const WeightRows& gate, const WeightRows& up) {
  return path == Path::tiles && next == Path::tiles && gate.format == up.format &&
         gate.packed_rows == gate.rows && up.packed_rows == up.rows;
}

void multiply_glu(const KernelTable& table, const ops::Glu& glu, const Product& gate,
                  const Product& up, const Prepared& out, float* work) {
  const WeightRows& weight = gate.weight;
  if (multiplies_side_by_side(gate.path, out.path, weight, up.weight)) {
    TileProduct both = on_tiles(gate, work);
    both.glu = {up.weight.first,  up.bias,    glu.kind, static_cast<float>(glu.limit),
                tiles_at(out, 0), out.columns};
    return table.packed(weight.format->type).tiles(both);
  }
  multiply_all(table, gate, work);
  multiply_all(table, up, work);
  for (std::int64_t r = 0; r < gate.rows; ++r) {
    float* row = gate.out + r * gate.out_stride;
    table.glu(glu.kind, static_cast<float>(glu.limit), row, up.out + r * up.out_stride, row,
              weight.rows);
  }
  prepare_all(table, {gate.out, gate.out_stride, nullptr, gate.rows, weight.rows}, out);
}

}  // namespace ingot::internal::cpu
