#include "src/ops/expert_matmul.hpp"

#include <algorithm>
#include <array>

#include "cpu/ops/build.hpp"
#include "cpu/ops/quantized_rows.hpp"

namespace ingot::cpu {
namespace {

/// Weight bytes of a task: about 10 us of reading at 6 GB/s per thread.
constexpr std::int64_t kBytesPerTask = 65536;

struct Part {
  WeightRows weight;  ///< of the first expert
  std::int64_t expert_bytes = 0;
  const float* bias = nullptr;  ///< [experts, weight.rows] or null
  ValueId out;
  std::int64_t slice = kPanelRows;  ///< weight rows per task

  std::int64_t slices() const { return divide_up(weight.rows, slice); }
};

/// What the kernels of one instruction share.
struct Experts {
  const KernelTable* table = nullptr;
  ValueId in;
  ValueId tokens;
  ValueId offsets;
  Rows rows = Rows::tokens;  ///< of the input
  std::int64_t columns = 0;
  std::int64_t count = 0;
  std::int64_t used = 0;  ///< per token
  std::vector<Part> parts;
  bool all_lanes = true;  ///< every part can multiply integers
  bool any_lanes = false;

  Experts(const ops::ExpertMatMul& op, const BuildContext& context)
      : table(&context.table),
        in(op.in),
        tokens(op.routing.tokens),
        offsets(op.routing.offsets),
        rows(context.program.value(op.in).rows),
        columns(context.program.value(op.in).columns),
        count(context.program.value(op.routing.offsets).columns - 1),
        used(context.program.experts_used) {
    for (const ops::ExpertMatMul::Part& given : op.parts) {
      Part part;
      part.weight = context.rows(given.weight);
      part.expert_bytes = context.program.tensor(given.weight.tensor).rows * part.weight.row_bytes;
      part.bias = context.vector(given.bias);
      part.out = given.out;
      // Whole panels, for experts of few rows and of many alike.
      const std::int64_t rows_per_task =
          kBytesPerTask / std::max<std::int64_t>(1, part.weight.row_bytes);
      part.slice =
          std::clamp<std::int64_t>(rows_per_task / kPanelRows * kPanelRows, kPanelRows, 256);
      all_lanes = all_lanes && part.weight.format->lanes != nullptr;
      any_lanes = any_lanes || part.weight.format->lanes != nullptr;
      parts.push_back(part);
    }
  }

  bool per_token() const { return rows == Rows::tokens; }
  std::int64_t most_rows(const StepLimits& limits) const {
    return count_rows(rows, limits.tokens, limits.outputs, used);
  }

  /// Experts that a step can touch at most.
  std::int64_t most_touched(const StepContext& step) const {
    return std::min(count, step.input.rows(Rows::assignments));
  }

  Range rows_of(const StepContext& step, std::int64_t expert) const {
    return ops::expert_rows(step.value(offsets), expert, step.input.rows(Rows::assignments));
  }
  /// The input row of a row in grouped order.
  std::int64_t input_row(const StepContext& step, std::int64_t row) const {
    if (!per_token()) return row;
    return ops::safe_index(step.value(tokens)[row], step.input.rows(Rows::tokens));
  }

  /// Rows in one piece for products in f32: grouped inputs are, others are gathered in work space
  /// behind the quantized rows.
  float* gathered(const StepContext& step) const {
    return step.shared + quantized_floats(step.input.rows(rows));
  }
  std::int64_t quantized_floats(std::int64_t row_count) const {
    return any_lanes ? row_count * quantized_row_floats(columns) : 0;
  }
};

bool uses_integers(const Part& part, std::int64_t rows) {
  return part.weight.format->lanes != nullptr && rows <= kFewRows;
}

// Quantizes the input's rows (each once, whatever the number of its experts) and brings rows that
// are multiplied in f32 into grouped order.
class PrepareKernel final : public Kernel {
 public:
  explicit PrepareKernel(const Experts& experts) : experts_(experts) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    std::int64_t floats = experts_.quantized_floats(experts_.most_rows(limits));
    if (experts_.per_token()) floats += limits.tokens * experts_.used * experts_.columns;
    return {static_cast<std::uint64_t>(floats) * sizeof(float), 0};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return quantize_tasks(step) + gather_tasks(step);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t columns = experts_.columns;
    if (task < quantize_tasks(step)) {
      experts_.table->quantize_row({step.value(experts_.in) + task * columns, columns,
                                    quantized_row_at(step.shared, columns, task)});
      return;
    }
    gather(step, task - quantize_tasks(step));
  }

 private:
  // Rows of an expert of many are quantized in vain; it costs little beside their products.
  std::int64_t quantize_tasks(const StepContext& step) const {
    return experts_.any_lanes ? step.input.rows(experts_.rows) : 0;
  }

  // A token uses an expert at most once, so few tokens are few rows of each.
  std::int64_t gather_tasks(const StepContext& step) const {
    const bool all_integers = experts_.all_lanes && step.input.rows(Rows::tokens) <= kFewRows;
    if (!experts_.per_token() || all_integers) return 0;
    return experts_.most_touched(step);
  }

  // The rows of one expert.
  void gather(const StepContext& step, std::int64_t touched) const;

  Experts experts_;
};

// The `index`-th expert that has rows, or `count` if there are fewer. Scanning a few hundred
// offsets costs nothing beside a task.
std::int64_t find_touched(const Experts& experts, const StepContext& step, std::int64_t index) {
  for (std::int64_t e = 0; e < experts.count; ++e) {
    if (experts.rows_of(step, e).size() > 0 && index-- == 0) return e;
  }
  return experts.count;
}

void PrepareKernel::gather(const StepContext& step, std::int64_t touched) const {
  const std::int64_t expert = find_touched(experts_, step, touched);
  if (expert == experts_.count) return;
  const Range rows = experts_.rows_of(step, expert);
  if (experts_.all_lanes && rows.size() <= kFewRows) return;
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    const float* from = step.value(experts_.in) + experts_.input_row(step, r) * experts_.columns;
    std::copy(from, from + experts_.columns, experts_.gathered(step) + r * experts_.columns);
  }
}

/// One slice of one expert's weight times all rows of that expert: the weight is read (and, for
/// many rows, decoded) once in a step.
struct Product {
  const Part& part;
  std::int64_t expert = 0;
  std::int64_t first = 0;  ///< weight row
  std::int64_t count = 0;  ///< weight rows
  Range rows;              ///< in grouped order
};

WeightRows weights_of(const Product& product, std::int64_t first, std::int64_t count) {
  WeightRows weight = product.part.weight;
  weight.first += product.expert * product.part.expert_bytes + first * weight.row_bytes;
  weight.rows = count;
  return weight;
}

// Here and in PrepareKernel, and nowhere else, the loops of MatMul are called.
void multiply(const Experts& experts, const StepContext& step, const Product& product,
              float* worker_space) {
  const Part& part = product.part;
  const float* bias =
      part.bias == nullptr ? nullptr : part.bias + product.expert * part.weight.rows;
  float* out = step.value(part.out) + product.rows.begin * part.weight.rows;
  const std::int64_t end = product.first + product.count;
  if (uses_integers(part, product.rows.size())) {
    std::array<QuantizedRow, kFewRows> in;
    for (std::int64_t r = 0; r < product.rows.size(); ++r) {
      in[static_cast<std::size_t>(r)] = quantized_row_at(
          step.shared, experts.columns, experts.input_row(step, product.rows.begin + r));
    }
    experts.table->few_rows({.weight = weights_of(product, product.first, product.count),
                             .in = in.data(),
                             .rows = product.rows.size(),
                             .bias = bias == nullptr ? nullptr : bias + product.first,
                             .out = out + product.first,
                             .out_stride = part.weight.rows});
    return;
  }
  const float* in = experts.per_token() ? experts.gathered(step) : step.value(experts.in);
  for (std::int64_t n = product.first; n < end; n += kPanelRows) {
    experts.table->many_rows({.weight = weights_of(product, n, std::min(kPanelRows, end - n)),
                              .in = in + product.rows.begin * experts.columns,
                              .in_stride = experts.columns,
                              .rows = product.rows.size(),
                              .bias = bias == nullptr ? nullptr : bias + n,
                              .out = out + n,
                              .out_stride = part.weight.rows,
                              .panel = worker_space});
  }
}

// A task is a slice of one expert's weight, however many rows it has: a hot expert is shared among
// the threads as well as many cold ones.
class ExpertProductKernel final : public Kernel {
 public:
  explicit ExpertProductKernel(const Experts& experts) : experts_(experts) {
    for (const Part& part : experts_.parts) slices_ += part.slices();
  }

  WorkSpace work_space(const StepLimits&) const override {
    return {0, static_cast<std::uint64_t>(kPanelRows * kPanelColumns) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return experts_.most_touched(step) * slices_;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t expert = find_touched(experts_, step, task / slices_);
    if (expert == experts_.count) return;
    std::int64_t slice = task % slices_;
    for (const Part& part : experts_.parts) {
      if (slice >= part.slices()) {
        slice -= part.slices();
        continue;
      }
      const std::int64_t first = slice * part.slice;
      multiply(experts_, step,
               {.part = part,
                .expert = expert,
                .first = first,
                .count = std::min(part.slice, part.weight.rows - first),
                .rows = experts_.rows_of(step, expert)},
               worker_space);
      return;
    }
  }

 private:
  Experts experts_;
  std::int64_t slices_ = 0;
};

}  // namespace

Built build(const ops::ExpertMatMul& op, const BuildContext& context) {
  const Experts experts(op, context);
  Kernels kernels;
  kernels.push_back(std::make_unique<const PrepareKernel>(experts));
  kernels.push_back(std::make_unique<const ExpertProductKernel>(experts));
  return kernels;
}

}  // namespace ingot::cpu
