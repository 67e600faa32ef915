#include "src/ops/add.hpp"

#include "cpu/ops/elementwise_kernel.hpp"

namespace ingot::internal::cpu {

Built build(const ops::Add& op, const BuildContext& context) {
  return elementwise(context, op.out,
                     [op, run = context.table.add](const StepContext& step, std::int64_t begin,
                                                   std::int64_t count) noexcept {
                       run(step.value(op.left) + begin, step.value(op.right) + begin,
                           step.value(op.out) + begin, count);
                     });
}

}  // namespace ingot::internal::cpu
