#include "src/ops/expert_matmul.hpp"

#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

bool is_per_token(const ExpertMatMul& op, const Program& program) {
  return program.value(op.in).rows == program.value(op.routing.weights).rows;
}

Operands operands(const ExpertMatMul& op) {
  Operands used;
  used.reads = {op.in, op.routing.tokens, op.routing.offsets};
  used.indices = {op.routing.tokens, op.routing.offsets};
  for (const ExpertMatMul::Part& part : op.parts) {
    used.writes.push_back(part.out);
    used.weights.push_back(part.weight);
    if (part.bias) used.weights.push_back(*part.bias);
  }
  return used;
}

void check(const ExpertMatMul& op, const Program& program) {
  require(op, !op.parts.empty(), "has no weight");
  const Value& in = program.value(op.in);
  const std::int64_t experts = program.value(op.routing.offsets).columns - 1;
  const Rows token_rows = program.value(op.routing.weights).rows;
  const Rows assignments = assignments_of(token_rows);
  require(op, token_rows == Rows::tokens || token_rows == Rows::outputs,
          program.value(op.routing.weights).name, " should have a row per token or output");
  require(op, in.rows == token_rows || in.rows == assignments, in.name,
          " should have a row per token that is routed, or per assignment");
  require(op,
          program.value(op.routing.tokens).rows == assignments &&
              program.value(op.routing.tokens).columns == 1 &&
              program.value(op.routing.offsets).rows == Rows::once,
          "is not routed by a Route");
  for (const ExpertMatMul::Part& part : op.parts) {
    const Value& out = program.value(part.out);
    const std::string& name = program.tensor(part.weight.tensor).name;
    require(op, part.weight.columns.size() == in.columns, name, " has ", part.weight.columns.size(),
            " columns, ", in.name, " has ", in.columns);
    require(op, part.weight.experts.size() == experts, name, " has ", part.weight.experts.size(),
            " experts, the routing ", experts);
    require(op, out.rows == assignments && out.columns == part.weight.rows.size(), out.name,
            " should be [assignments, ", part.weight.rows.size(), "]");
    if (!part.bias) continue;
    const Tensor& bias = program.tensor(part.bias->tensor);
    require(op,
            bias.type == DType::F32 && part.bias->rows.size() == experts &&
                part.bias->experts.size() == 1 && part.bias->columns.size() == out.columns,
            bias.name, " should be F32 [", experts, ", ", out.columns, "]");
    require(op, bias.columns == out.columns, "uses whole rows of a bias, not part of ", bias.name);
  }
}

Cost cost(const ExpertMatMul& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  const std::int64_t assignments = rows(program, shape, program.value(op.routing.tokens).rows);
  const std::int64_t experts = program.value(op.routing.offsets).columns - 1;
  for (const ExpertMatMul::Part& part : op.parts) {
    sum.flops +=
        2 * elements(program, shape, part.out) * static_cast<double>(part.weight.columns.size());
  }
  // Which experts are touched depends on the tokens; this is the most there can be.
  sum.weight_bytes *=
      static_cast<double>(std::min(experts, assignments)) / static_cast<double>(experts);
  return sum;
}

void print_attributes(std::ostream&, const ExpertMatMul&) {}

}  // namespace ingot::internal::ops
