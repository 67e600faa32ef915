#include "src/ops/expert_matmul.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"
#include "cpu/ops/experts.hpp"

namespace ingot::internal::cpu {
namespace {

// The rows' places in the input, each inside it whatever a tap has written.
class IndexKernel final : public Kernel {
 public:
  explicit IndexKernel(const Experts& experts) : experts_(experts) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return experts_.per_token() && step.input.rows(experts_.assignments) > 0 ? 1 : 0;
  }

  void run(const StepContext& step, float*, std::int64_t) const noexcept override {
    const std::int64_t rows = step.input.rows(experts_.rows);
    const std::int32_t* tokens = step.indices(experts_.tokens);
    std::int32_t* out = experts_.token_rows(step);
    for (std::int64_t r = 0; r < step.input.rows(experts_.assignments); ++r) {
      out[r] = static_cast<std::int32_t>(ops::safe_index(tokens[r], rows));
    }
  }

 private:
  Experts experts_;
};

// Quantizes the input's rows, each once, whatever the number of its experts; and brings the rows of
// experts that have many into tiles.
class PrepareKernel final : public Kernel {
 public:
  explicit PrepareKernel(const Experts& experts) : experts_(experts) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const auto most = [&](Rows kind) { return limits.row_counts(experts_.used).of(kind); };
    const ExpertLayout layout(experts_, most(experts_.rows), most(experts_.assignments));
    return {static_cast<std::uint64_t>(layout.end) * sizeof(float), 0};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return row_tasks(step) + (makes_tiles(step) ? experts_.most_touched(step) : 0);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const ExpertLayout layout(experts_, step);
    if (task >= row_tasks(step)) return fill_tiles(step, layout, task - row_tasks(step));
    const ActivationRows in = {step.value(experts_.in), experts_.columns, nullptr,
                               step.input.rows(experts_.rows), experts_.columns};
    for (std::int64_t r = task * kRowsPerTask; r < std::min(in.count, (task + 1) * kRowsPerTask);
         ++r) {
      const auto prepare = [&](const Form& form, std::int64_t at) {
        form.prepare(*experts_.table, in, r, {&form, step.shared + at, experts_.columns});
      };
      prepare(*experts_.few, layout.integers);
      if (experts_.has_own_panels() && may_have_many(step)) prepare(*experts_.many, layout.panels);
    }
  }

 private:
  static constexpr std::int64_t kRowsPerTask = 4;

  // Rows of an expert of many are quantized in vain; it costs little beside their products.
  std::int64_t row_tasks(const StepContext& step) const {
    return experts_.few != &forms::plain ? divide_up(step.input.rows(experts_.rows), kRowsPerTask)
                                         : 0;
  }

  // A token uses an expert at most once, so few tokens are few rows of each.
  bool may_have_many(const StepContext& step) const {
    return step.input.rows(experts_.assignments) > kFewRows * experts_.used;
  }
  bool makes_tiles(const StepContext& step) const {
    return experts_.many == &forms::tiles && may_have_many(step);
  }

  void fill_tiles(const StepContext& step, const ExpertLayout& layout, std::int64_t rank) const {
    const std::int64_t expert = experts_.find_touched(step, rank);
    if (expert == experts_.count) return;
    const Range rows = experts_.rows_of(step, expert);
    if (rows.size() <= kFewRows) return;
    prepare_all(*experts_.table, experts_.activations(step, rows),
                {&forms::tiles, step.shared + layout.tiles_of(rows.begin, rank), experts_.columns});
  }

  Experts experts_;
};

/// One slice of one expert's weight times all rows of that expert: the weight is read (and, for
/// many rows, decoded) once in a step.
struct ExpertSlice {
  const ExpertPart& part;
  std::int64_t expert = 0;
  std::int64_t rank = 0;   ///< among the experts that have rows
  std::int64_t first = 0;  ///< weight row
  std::int64_t count = 0;  ///< weight rows
  Range rows;              ///< in grouped order
};

void multiply_slice(const Experts& experts, const StepContext& step, const ExpertSlice& slice,
                    float* worker_space) {
  const ExpertPart& part = slice.part;
  const ExpertLayout layout(experts, step);
  const Path& path = part.paths.of(slice.rows.size());
  Product product;
  WeightRows expert = part.weight;
  expert.first += slice.expert * part.expert_bytes;
  product.weight = ingot::internal::cpu::slice(expert, slice.first, slice.count);
  product.in = experts.activations(step, slice.rows);
  if (path.form == &forms::tiles) {
    product.prepared = step.shared + layout.tiles_of(slice.rows.begin, slice.rank);
  } else if (path.form != &forms::plain) {
    // Prepared in the order of the input.
    product.prepared = step.shared + (path.form == experts.few ? layout.integers : layout.panels);
    product.prepared_index = product.in.index;
    if (product.in.index == nullptr) {
      product.prepared += path.form->floats(slice.rows.begin, experts.columns);
    }
  }
  if (part.bias != nullptr) {
    product.bias = part.bias + slice.expert * part.weight.rows + slice.first;
  }
  float* out = step.value(part.out) + slice.rows.begin * part.weight.rows + slice.first;
  product.out_stride = part.weight.rows;
  const std::int64_t step_rows = path.task_shape(part.weight).rows;
  for (std::int64_t r = 0; r < slice.rows.size(); r += step_rows) {
    product.first_row = r;
    product.rows = std::min(step_rows, slice.rows.size() - r);
    product.out = out + r * product.out_stride;
    path.multiply(*experts.table, product, worker_space);
  }
}

// A task is a slice of one expert's weight, however many rows it has: a hot expert is shared among
// the threads as well as many cold ones.
class ExpertProductKernel final : public Kernel {
 public:
  explicit ExpertProductKernel(const Experts& experts) : experts_(experts) {
    for (const ExpertPart& part : experts_.parts) slices_ += part.slices();
  }

  WorkSpace work_space(const StepLimits&) const override {
    std::int64_t floats = 0;
    for (const ExpertPart& part : experts_.parts) {
      floats = std::max(floats, part.paths.work_floats());
    }
    return {0, static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return experts_.most_touched(step) * slices_;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t expert = experts_.find_touched(step, task / slices_);
    if (expert == experts_.count) return;
    std::int64_t slice = task % slices_;
    for (const ExpertPart& part : experts_.parts) {
      if (slice >= part.slices()) {
        slice -= part.slices();
        continue;
      }
      const std::int64_t first = slice * part.slice;
      multiply_slice(experts_, step,
                     {.part = part,
                      .expert = expert,
                      .rank = task / slices_,
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
  kernels.push_back(std::make_unique<const IndexKernel>(experts));
  kernels.push_back(std::make_unique<const PrepareKernel>(experts));
  kernels.push_back(std::make_unique<const ExpertProductKernel>(experts));
  return kernels;
}

}  // namespace ingot::internal::cpu
