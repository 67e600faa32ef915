#include "src/ops/activation.hpp"

#include "cpu/ops/elementwise_kernel.hpp"

namespace ingot::internal::cpu {

Built build(const ops::Activation& op, const BuildContext& context) {
  return elementwise(context, op.out,
                     [op, run = context.table.activate](const StepContext& step, std::int64_t begin,
                                                        std::int64_t count) noexcept {
                       run(op.kind, step.value(op.in) + begin, step.value(op.out) + begin, count);
                     });
}

}  // namespace ingot::internal::cpu
