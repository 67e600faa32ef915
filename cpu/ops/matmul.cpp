#include "src/ops/matmul.hpp"

#include <algorithm>
#include <array>

#include "cpu/ops/build.hpp"

namespace ingot::cpu {
namespace {

/// Activation rows that share one decoded panel; more become tasks of their own. Decoding a weight
/// costs about as much as eight products with it, so at 256 it is a few percent.
constexpr std::int64_t kRowsPerTask = 256;

/// Weight bytes that a task of few rows reads: about 10 us of work at 6 GB/s per thread.
constexpr std::int64_t kBytesPerTask = 65536;

std::int64_t row_floats(std::int64_t columns) {
  const std::int64_t floats = columns / 2 + columns / 32 + columns / 16;  // q in 16 bits
  return divide_up(floats, 16) * 16;
}

QuantizedRow quantized_row(float* shared, std::int64_t columns, std::int64_t row) {
  float* at = shared + row * row_floats(columns);
  QuantizedRow out;
  out.q = reinterpret_cast<std::int16_t*>(at);
  out.scales = at + columns / 2;
  out.sums = out.scales + columns / 32;
  return out;
}

// The activations of a step of few rows, quantized once for all parts. A task is a row.
class QuantizeKernel final : public Kernel {
 public:
  QuantizeKernel(const ops::MatMul& op, const BuildContext& context)
      : quantize_(context.table.quantize_row),
        in_(op.in),
        rows_(context.program.value(op.in).rows),
        columns_(context.program.value(op.in).columns) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const std::int64_t most = rows_ == Rows::tokens ? limits.tokens : limits.outputs;
    const std::int64_t rows = std::min(most, kFewRows);
    return {static_cast<std::uint64_t>(rows * row_floats(columns_)) * sizeof(float), 0};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t rows = step.input.rows(rows_);
    return rows <= kFewRows ? rows : 0;
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    quantize_(
        {step.value(in_) + task * columns_, columns_, quantized_row(step.shared, columns_, task)});
  }

 private:
  void (*quantize_)(const QuantizeRow&);
  ValueId in_;
  Rows rows_;
  std::int64_t columns_;
};

struct Part {
  WeightRows weight;
  const float* bias = nullptr;
  ValueId out;
  std::int64_t few_rows_chunk = 1;  ///< weight rows per task
};

// All parts' products. A task is some weight rows of one part, times some activation rows.
class ProductKernel final : public Kernel {
 public:
  ProductKernel(const ops::MatMul& op, const BuildContext& context)
      : table_(&context.table),
        in_(op.in),
        rows_(context.program.value(op.in).rows),
        columns_(context.program.value(op.in).columns) {
    for (const ops::MatMul::Part& part : op.parts) {
      Part resolved;
      resolved.weight = context.rows(part.weight);
      resolved.bias = context.vector(part.bias);
      resolved.out = part.out;
      const std::int64_t rows =
          kBytesPerTask / std::max<std::int64_t>(1, resolved.weight.row_bytes);
      resolved.few_rows_chunk = std::clamp<std::int64_t>(rows, 4, 256);
      parts_.push_back(resolved);
    }
  }

  WorkSpace work_space(const StepLimits&) const override {
    return {0, static_cast<std::uint64_t>(kPanelRows * kPanelColumns) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t rows = step.input.rows(rows_);
    std::int64_t count = 0;
    for (const Part& part : parts_) count += tasks_of(part, rows);
    return count;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t rows = step.input.rows(rows_);
    for (const Part& part : parts_) {
      const std::int64_t tasks = tasks_of(part, rows);
      if (task >= tasks) {
        task -= tasks;
        continue;
      }
      if (uses_integers(part, rows)) {
        run_few(step, part, rows, task);
      } else {
        run_many(step, part, rows, task, worker_space);
      }
      return;
    }
  }

 private:
  static bool uses_integers(const Part& part, std::int64_t rows) {
    return part.weight.format->lanes != nullptr && rows <= kFewRows;
  }

  static std::int64_t tasks_of(const Part& part, std::int64_t rows) {
    if (rows == 0) return 0;
    if (uses_integers(part, rows)) return divide_up(part.weight.rows, part.few_rows_chunk);
    return divide_up(part.weight.rows, kPanelRows) * divide_up(rows, kRowsPerTask);
  }

  // `count` weight rows of the part from `first`.
  static WeightRows slice(const Part& part, std::int64_t first, std::int64_t chunk) {
    WeightRows out = part.weight;
    out.first += first * out.row_bytes;
    out.rows = std::min(chunk, part.weight.rows - first);
    return out;
  }

  void run_few(const StepContext& step, const Part& part, std::int64_t rows,
               std::int64_t task) const {
    std::array<QuantizedRow, kFewRows> in;
    for (std::int64_t r = 0; r < rows; ++r) {
      in[static_cast<std::size_t>(r)] = quantized_row(step.shared, columns_, r);
    }
    const std::int64_t first = task * part.few_rows_chunk;
    table_->few_rows({.weight = slice(part, first, part.few_rows_chunk),
                      .in = in.data(),
                      .rows = rows,
                      .bias = part.bias == nullptr ? nullptr : part.bias + first,
                      .out = step.value(part.out) + first,
                      .out_stride = part.weight.rows});
  }

  void run_many(const StepContext& step, const Part& part, std::int64_t rows, std::int64_t task,
                float* worker_space) const {
    const std::int64_t row_blocks = divide_up(rows, kRowsPerTask);
    const std::int64_t first = task / row_blocks * kPanelRows;
    const std::int64_t row = task % row_blocks * kRowsPerTask;
    table_->many_rows({.weight = slice(part, first, kPanelRows),
                       .in = step.value(in_) + row * columns_,
                       .in_stride = columns_,
                       .rows = std::min(kRowsPerTask, rows - row),
                       .bias = part.bias == nullptr ? nullptr : part.bias + first,
                       .out = step.value(part.out) + row * part.weight.rows + first,
                       .out_stride = part.weight.rows,
                       .panel = worker_space});
  }

  const KernelTable* table_;
  ValueId in_;
  Rows rows_;
  std::int64_t columns_;
  std::vector<Part> parts_;
};

}  // namespace

Built build(const ops::MatMul& op, const BuildContext& context) {
  Kernels kernels;
  const bool any_integers =
      std::any_of(op.parts.begin(), op.parts.end(), [&](const ops::MatMul::Part& part) {
        return context.rows(part.weight).format->lanes != nullptr;
      });
  if (any_integers) kernels.push_back(std::make_unique<const QuantizeKernel>(op, context));
  kernels.push_back(std::make_unique<const ProductKernel>(op, context));
  return kernels;
}

}  // namespace ingot::cpu
