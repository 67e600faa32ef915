#include "src/ops/scale.hpp"

#include "cpu/ops/elementwise_kernel.hpp"

namespace ingot::internal::cpu {

Built build(const ops::Scale& op, const BuildContext& context) {
  return elementwise(context, op.out,
                     [op, run = context.table.scale](const StepContext& step, std::int64_t begin,
                                                     std::int64_t count) noexcept {
                       run(static_cast<float>(op.factor), step.value(op.in) + begin,
                           step.value(op.out) + begin, count);
                     });
}

}  // namespace ingot::internal::cpu
