#include "src/ops/glu.hpp"

#include "src/ops/support.hpp"

namespace ingot::ops {

Operands operands(const Glu& op) {
  Operands used;
  used.reads = {op.gate, op.up};
  used.writes = {op.out};
  return used;
}

void check(const Glu& op, const Program& program) {
  require_same_shape(op, program, op.gate, op.up);
  require_same_shape(op, program, op.gate, op.out);
}

Cost cost(const Glu& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, 5);
}

void print_attributes(std::ostream& out, const Glu& op) {
  out << to_string(op.kind);
}

void reference(const Glu& op, ReferenceStep& step) {
  const auto gate = step.value(op.gate).all();
  const auto up = step.value(op.up).all();
  const auto out = step.value(op.out).all();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = apply(op.kind, gate[i]) * up[i];
}

}  // namespace ingot::ops
