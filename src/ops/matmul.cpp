#include "src/ops/matmul.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const MatMul& op) {
  Operands used;
  used.reads = {op.in};
  for (const MatMul::Part& part : op.parts) {
    used.writes.push_back(part.out);
    used.weights.push_back(part.weight);
    if (part.bias) used.weights.push_back(*part.bias);
  }
  return used;
}

void check(const MatMul& op, const Program& program) {
  require(op, !op.parts.empty(), "has no weight");
  const Value& in = program.value(op.in);
  require(op, in.rows == Rows::tokens || in.rows == Rows::outputs || in.rows == Rows::heads,
          in.name, " should have a row per token or output: rows of experts are ExpertMatMul's");
  for (const MatMul::Part& part : op.parts) {
    const Value& out = program.value(part.out);
    require(op, part.weight.columns.size() == in.columns, program.tensor(part.weight.tensor).name,
            " has ", part.weight.columns.size(), " columns, ", in.name, " has ", in.columns);
    require(op, part.weight.experts.size() == 1, "uses one expert of a tensor");
    require(op, takes_rows(in.rows, out.rows) && out.columns == part.weight.rows.size(), out.name,
            " should have ", part.weight.rows.size(),
            " columns and the input's rows, or the heads among them");
    require(op, out.rows == program.value(op.parts.front().out).rows, out.name,
            " should have the rows of the other products");
    if (part.bias) require_vector(op, program, *part.bias, out.columns);
  }
}

Cost cost(const MatMul& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  for (const MatMul::Part& part : op.parts) {
    sum.flops +=
        2 * elements(program, shape, part.out) * static_cast<double>(part.weight.columns.size());
  }
  // Nothing is read for a step without rows (no logits asked).
  if (rows(program, shape, program.value(op.parts.front().out).rows) == 0) sum = {};
  return sum;
}

void print_attributes(std::ostream&, const MatMul&) {}

}  // namespace ingot::internal::ops
