#include "src/ops/norm.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"
#include "cpu/ops/elementwise.hpp"

namespace ingot::cpu {
namespace {

// A task takes enough rows to be worth handing out; a row is never cut.
class NormKernel final : public Kernel {
 public:
  NormKernel(const ops::Norm& op, const BuildContext& context)
      : op_(op),
        normalise_(context.table.norm),
        rows_(context.program.value(op.in).rows),
        columns_(context.program.value(op.in).columns),
        weight_(context.vector(op.weight)),
        bias_(context.vector(op.bias)),
        weight_stride_(stride(op.weight)),
        bias_stride_(stride(op.bias)) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return divide_up(step.input.rows(rows_), rows_per_task());
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t rows = step.input.rows(rows_);
    const std::int64_t begin = task * rows_per_task();
    for (std::int64_t r = begin; r < rows && r < begin + rows_per_task(); ++r) {
      for (std::int64_t c = 0; c < columns_; c += op_.group_size) {
        const std::int64_t group = c / op_.group_size;
        const std::int64_t at = r * columns_ + c;
        normalise_({.kind = op_.kind,
                    .in = step.value(op_.in) + at,
                    .out = step.value(op_.out) + at,
                    .size = op_.group_size,
                    .weight = weight_ == nullptr ? nullptr : weight_ + group * weight_stride_,
                    .bias = bias_ == nullptr ? nullptr : bias_ + group * bias_stride_,
                    .epsilon = op_.epsilon});
      }
    }
  }

 private:
  // From group to group: 0 if all groups share the vector.
  std::int64_t stride(const std::optional<WeightOperand>& vector) const {
    return vector && vector->columns.size() == columns_ ? op_.group_size : 0;
  }

  std::int64_t rows_per_task() const {
    return std::max<std::int64_t>(1, kElementsPerTask / columns_);
  }

  ops::Norm op_;
  void (*normalise_)(const NormGroup&);
  Rows rows_;
  std::int64_t columns_;
  const float* weight_;
  const float* bias_;
  std::int64_t weight_stride_;
  std::int64_t bias_stride_;
};

}  // namespace

Built build(const ops::Norm& op, const BuildContext& context) {
  return single(NormKernel(op, context));
}

}  // namespace ingot::cpu
