#include <algorithm>

#include "cpu/ops/elementwise.hpp"
#include "cpu/ops/norm_rows.hpp"

namespace ingot::internal::cpu {
namespace {

// A task takes enough rows to be worth handing out; a row is never cut.
class NormKernel final : public Kernel {
 public:
  NormKernel(const ops::Norm& op, const BuildContext& context)
      : in_(op.in), out_(op.out), rows_(context.program.value(op.in).rows), norm_(op, context) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return divide_up(step.input.rows(rows_), rows_per_task());
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t begin = task * rows_per_task();
    const std::int64_t end = std::min(step.input.rows(rows_), begin + rows_per_task());
    for (std::int64_t at = begin * norm_.columns(); at < end * norm_.columns();
         at += norm_.columns()) {
      norm_.run(step.value(in_) + at, step.value(out_) + at);
    }
  }

 private:
  std::int64_t rows_per_task() const {
    return std::max<std::int64_t>(1, kElementsPerTask / norm_.columns());
  }

  ValueId in_;
  ValueId out_;
  Rows rows_;
  NormRows norm_;
};

}  // namespace

NormRows::NormRows(const ops::Norm& op, const BuildContext& context)
    : op_(op),
      normalise_(context.table.norm),
      columns_(context.program.value(op.in).columns),
      weight_(context.vector(op.weight)),
      bias_(context.vector(op.bias)),
      weight_stride_(stride(op.weight)),
      bias_stride_(stride(op.bias)) {}

std::int64_t NormRows::stride(const std::optional<WeightOperand>& vector) const {
  return vector && vector->columns.size() == columns_ ? op_.group_size : 0;
}

void NormRows::run(const float* in, float* out) const noexcept {
  for (std::int64_t c = 0; c < columns_; c += op_.group_size) {
    const std::int64_t group = c / op_.group_size;
    normalise_({.kind = op_.kind,
                .in = in + c,
                .out = out + c,
                .size = op_.group_size,
                .weight = weight_ == nullptr ? nullptr : weight_ + group * weight_stride_,
                .bias = bias_ == nullptr ? nullptr : bias_ + group * bias_stride_,
                .epsilon = op_.epsilon});
  }
}

Built build(const ops::Norm& op, const BuildContext& context) {
  return single(NormKernel(op, context));
}

}  // namespace ingot::internal::cpu
