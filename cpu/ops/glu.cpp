#include "src/ops/glu.hpp"

#include "cpu/ops/elementwise_kernel.hpp"

namespace ingot::internal::cpu {
namespace {

// One gate for a whole row: the function once, then the row times it. A task is a row.
class RowGateKernel final : public Kernel {
 public:
  RowGateKernel(const ops::Glu& op, const BuildContext& context)
      : op_(op),
        table_(&context.table),
        rows_(context.program.value(op.out).rows),
        columns_(context.program.value(op.out).columns) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(rows_);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    float gate = 0;
    table_->activate(op_.kind, step.value(op_.gate) + task, &gate, 1);
    table_->scale(gate, step.value(op_.up) + task * columns_, step.value(op_.out) + task * columns_,
                  columns_);
  }

 private:
  ops::Glu op_;
  const KernelTable* table_;
  Rows rows_;
  std::int64_t columns_;
};

}  // namespace

Built build(const ops::Glu& op, const BuildContext& context) {
  const bool per_row =
      context.program.value(op.gate).columns == 1 && context.program.value(op.out).columns != 1;
  if (per_row && op.limit > 0) return Unsupported{"a limit together with one gate for a whole row"};
  if (per_row) return single(RowGateKernel(op, context));
  return elementwise(context, op.out,
                     [op, run = context.table.glu](const StepContext& step, std::int64_t begin,
                                                   std::int64_t count) noexcept {
                       run(op.kind, static_cast<float>(op.limit), step.value(op.gate) + begin,
                           step.value(op.up) + begin, step.value(op.out) + begin, count);
                     });
}

}  // namespace ingot::internal::cpu
