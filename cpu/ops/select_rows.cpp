#include "src/ops/select_rows.hpp"

#include <cstring>

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

// Copying is bound by memory and short: a task takes some rows.
constexpr std::int64_t kRowsPerTask = 16;

class SelectRowsKernel final : public Kernel {
 public:
  SelectRowsKernel(const ops::SelectRows& op, const BuildContext& context)
      : in_(op.in), out_(op.out), columns_(context.program.value(op.in).columns) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return divide_up(step.input.rows(Rows::outputs), kRowsPerTask);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t rows = step.input.rows(Rows::outputs);
    const std::int64_t begin = task * kRowsPerTask;
    for (std::int64_t i = begin; i < rows && i < begin + kRowsPerTask; ++i) {
      const std::int64_t row = step.input.output_rows[static_cast<std::size_t>(i)];
      std::memcpy(step.value(out_) + i * columns_, step.value(in_) + row * columns_,
                  static_cast<std::size_t>(columns_) * sizeof(float));
    }
  }

 private:
  ValueId in_;
  ValueId out_;
  std::int64_t columns_;
};

}  // namespace

Built build(const ops::SelectRows& op, const BuildContext& context) {
  return single(SelectRowsKernel(op, context));
}

}  // namespace ingot::internal::cpu
