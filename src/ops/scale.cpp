#include "src/ops/scale.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const Scale& op) {
  Operands used;
  used.reads = {op.in};
  used.writes = {op.out};
  return used;
}

void check(const Scale& op, const Program& program) {
  require_same_shape(op, program, op.in, op.out);
}

Cost cost(const Scale& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, 1);
}

void print_attributes(std::ostream& out, const Scale& op) {
  out << "factor " << op.factor;
}

void reference(const Scale& op, ReferenceStep& step) {
  const auto in = step.value(op.in).all();
  const auto out = step.value(op.out).all();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = op.factor * in[i];
}

}  // namespace ingot::internal::ops
