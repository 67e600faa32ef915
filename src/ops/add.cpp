#include "src/ops/add.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const Add& op) {
  Operands used;
  used.reads = {op.left, op.right};
  used.writes = {op.out};
  return used;
}

void check(const Add& op, const Program& program) {
  require_same_shape(op, program, op.left, op.right);
  require_same_shape(op, program, op.left, op.out);
}

Cost cost(const Add& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, 1);
}

void print_attributes(std::ostream&, const Add&) {}

void reference(const Add& op, ReferenceStep& step) {
  const auto left = step.value(op.left).all();
  const auto right = step.value(op.right).all();
  const auto out = step.value(op.out).all();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = left[i] + right[i];
}

}  // namespace ingot::internal::ops
