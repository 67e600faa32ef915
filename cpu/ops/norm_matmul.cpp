#include "cpu/ops/norm_matmul.hpp"

#include <algorithm>
#include <utility>

#include "cpu/ops/norm_rows.hpp"
#include "cpu/quant/packed.hpp"

namespace ingot::internal::cpu {
namespace {

// A task is as many rows as are prepared at a time.
class NormPrepareKernel final : public Kernel {
 public:
  NormPrepareKernel(const BeforeMatMul& before, std::shared_ptr<const MatMulData> data,
                    const BuildContext& context)
      : add_(before.add),
        in_(before.norm->in),
        norm_(*before.norm, context),
        data_(data),
        prepare_(std::move(data)) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    WorkSpace space = prepare_.work_space(limits);
    const std::int64_t rows = std::max(data_->form(kFewRows).rows, data_->form(kFewRows + 1).rows);
    space.worker_bytes = static_cast<std::uint64_t>(rows * norm_.columns()) * sizeof(float);
    return space;
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return prepare_.task_count(step);
  }

  void run(const StepContext& step, float* normed, std::int64_t task) const noexcept override {
    const std::int64_t columns = norm_.columns();
    const std::int64_t all_rows = data_->step_rows(step);
    const Form& form = data_->form(all_rows);
    const std::int64_t first = task * form.rows;
    const std::int64_t rows = std::min(form.rows, all_rows - first);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at = (first + r) * columns;
      if (add_) {
        data_->table->add(step.value(add_->left) + at, step.value(add_->right) + at,
                          step.value(add_->out) + at, columns);
      }
      norm_.run(step.value(in_) + at, normed + r * columns);
    }
    prepare_all(*data_->table, {normed, columns, nullptr, rows, columns},
                {.form = &form, .first = step.shared, .columns = columns, .first_row = first});
  }

 private:
  std::optional<ops::Add> add_;
  ValueId in_;
  NormRows norm_;
  std::shared_ptr<const MatMulData> data_;
  PrepareKernel prepare_;
};

}  // namespace

bool takes_prepared(const ops::MatMul& op, const BuildContext& context) {
  const auto takes_floats = [&](const ops::MatMul::Part& part) {
    const WeightRows weight = context.rows(part.weight);
    // Of many rows, those behind the last whole group are multiplied as floats.
    return weight.rows % kGroupRows != 0 || context.paths(*weight.format).has(forms::plain);
  };
  return std::none_of(op.parts.begin(), op.parts.end(), takes_floats);
}

std::shared_ptr<const Kernel> build_prepare(const BeforeMatMul& before,
                                            std::shared_ptr<const MatMulData> data,
                                            const BuildContext& context) {
  if (!before.norm) return std::make_shared<const PrepareKernel>(std::move(data));
  return std::make_shared<const NormPrepareKernel>(before, std::move(data), context);
}

Kernels build_behind(const BeforeMatMul& before, const ops::MatMul& op,
                     const BuildContext& context) {
  const auto data = std::make_shared<const MatMulData>(op, context);
  Kernels kernels;
  kernels.push_back(build_prepare(before, data, context));
  kernels.push_back(std::make_shared<const ProductKernel>(data));
  return kernels;
}

}  // namespace ingot::internal::cpu
