#include "src/ops/glu.hpp"

#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const Glu& op) {
  Operands used;
  used.reads = {op.gate, op.up};
  used.writes = {op.out};
  return used;
}

void check(const Glu& op, const Program& program) {
  require_same_shape(op, program, op.up, op.out);
  require(op, op.limit >= 0, "a limit of ", op.limit, " cannot be negative");
  const Value& gate = program.value(op.gate);
  if (gate.columns != 1) return require_same_shape(op, program, op.gate, op.up);
  require(op, gate.rows == program.value(op.up).rows, gate.name, " should have a row for each of ",
          program.value(op.up).name);
}

Cost cost(const Glu& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, 5);
}

void print_attributes(std::ostream& out, const Glu& op) {
  out << to_string(op.kind);
  if (op.limit > 0) out << ", limit " << op.limit;
}

void reference(const Glu& op, ReferenceStep& step) {
  const Matrix gates = step.value(op.gate);
  const Matrix ups = step.value(op.up);
  const Matrix out = step.value(op.out);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    for (std::int64_t c = 0; c < out.columns; ++c) {
      double gate = gates.row(r)[static_cast<std::size_t>(gates.columns == 1 ? 0 : c)];
      double up = ups.row(r)[static_cast<std::size_t>(c)];
      if (op.limit > 0) {
        // Written so that NaN stays NaN.
        gate = gate > op.limit ? op.limit : gate;
        up = std::clamp(up, -op.limit, op.limit) + 1;
      }
      out.row(r)[static_cast<std::size_t>(c)] = apply(op.kind, gate) * up;
    }
  }
}

}  // namespace ingot::internal::ops
