#include "src/ops/glu.hpp"

#include "cpu/ops/elementwise_kernel.hpp"

namespace ingot::cpu {

Built build(const ops::Glu& op, const BuildContext& context) {
  return elementwise(context, op.out,
                     [op, run = context.table.glu](const StepContext& step, std::int64_t begin,
                                                   std::int64_t count) noexcept {
                       run(op.kind, step.value(op.gate) + begin, step.value(op.up) + begin,
                           step.value(op.out) + begin, count);
                     });
}

}  // namespace ingot::cpu
