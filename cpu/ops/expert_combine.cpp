#include "src/ops/expert_combine.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

// A task is some columns of one token, so that a step of one token is shared too.
constexpr std::int64_t kColumnsPerTask = 2048;

class ExpertCombineKernel final : public Kernel {
 public:
  ExpertCombineKernel(const ops::ExpertCombine& op, const BuildContext& context)
      : op_(op),
        tokens_(context.program.value(op.routing.weights).rows),
        used_(context.program.value(op.routing.weights).columns),
        columns_(context.program.value(op.in).columns) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(tokens_) * divide_up(columns_, kColumnsPerTask);
  }

  // Bound by reading the rows once: the compiler's own vectors are enough.
  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t chunks = divide_up(columns_, kColumnsPerTask);
    const std::int64_t token = task / chunks;
    const std::int64_t first = task % chunks * kColumnsPerTask;
    const std::int64_t count = std::min(kColumnsPerTask, columns_ - first);
    const std::int64_t rows = step.input.rows(assignments_of(tokens_));
    const float* weights = step.value(op_.routing.weights) + token * used_;
    const std::int32_t* places = step.indices(op_.routing.places) + token * used_;
    float* out = step.value(op_.out) + token * columns_ + first;
    for (std::int64_t i = 0; i < used_; ++i) {
      const float* in = step.value(op_.in) + ops::safe_index(places[i], rows) * columns_ + first;
      const float weight = weights[i];
      if (i == 0) {
        for (std::int64_t c = 0; c < count; ++c) out[c] = weight * in[c];
      } else {
        for (std::int64_t c = 0; c < count; ++c) out[c] += weight * in[c];
      }
    }
  }

 private:
  ops::ExpertCombine op_;
  Rows tokens_;
  std::int64_t used_;
  std::int64_t columns_;
};

}  // namespace

Built build(const ops::ExpertCombine& op, const BuildContext& context) {
  return single(ExpertCombineKernel(op, context));
}

}  // namespace ingot::internal::cpu
