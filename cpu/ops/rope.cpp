#include "src/ops/rope.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"
#include "cpu/ops/elementwise.hpp"

namespace ingot::internal::cpu {
namespace {

class RopeKernel final : public Kernel {
 public:
  RopeKernel(const ops::Rope& op, const BuildContext& context)
      : op_(op), rotate_(context.table.rope), columns_(context.program.value(op.in).columns) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return divide_up(step.input.rows(Rows::tokens), rows_per_task());
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t rows = step.input.rows(Rows::tokens);
    const std::int64_t begin = task * rows_per_task();
    const float* angles = step.input.rope[static_cast<std::size_t>(op_.table)].data();
    for (std::int64_t r = begin; r < rows && r < begin + rows_per_task(); ++r) {
      rotate_({.in = step.value(op_.in) + r * columns_,
               .out = step.value(op_.out) + r * columns_,
               .heads = columns_ / op_.head_size,
               .head_size = op_.head_size,
               .rotary_size = op_.rotary_size,
               .rotary_offset = op_.rotary_offset,
               .layout = op_.layout,
               .angles = angles + r * op_.rotary_size});
    }
  }

 private:
  std::int64_t rows_per_task() const {
    return std::max<std::int64_t>(1, kElementsPerTask / columns_);
  }

  ops::Rope op_;
  void (*rotate_)(const RopeHeads&);
  std::int64_t columns_;
};

}  // namespace

Built build(const ops::Rope& op, const BuildContext& context) {
  return single(RopeKernel(op, context));
}

}  // namespace ingot::internal::cpu
