#include "src/ops/expert_combine.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const ExpertCombine& op) {
  Operands used;
  used.reads = {op.in, op.routing.weights, op.routing.places};
  used.writes = {op.out};
  used.indices = {op.routing.places};
  return used;
}

void check(const ExpertCombine& op, const Program& program) {
  const Value& in = program.value(op.in);
  const Value& out = program.value(op.out);
  const Value& weights = program.value(op.routing.weights);
  require_same_shape(op, program, op.routing.weights, op.routing.places);
  require(op,
          (weights.rows == Rows::tokens || weights.rows == Rows::outputs) &&
              weights.columns == program.experts_used,
          weights.name, " should have a row per token or output and ", program.experts_used,
          " columns");
  require(op, in.rows == assignments_of(weights.rows), in.name,
          " should have a row per assignment");
  require(op, out.rows == weights.rows && out.columns == in.columns, out.name,
          " should have the rows of ", weights.name, " and ", in.columns, " columns");
}

Cost cost(const ExpertCombine& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  sum.flops = 2 * elements(program, shape, op.in);
  return sum;
}

void print_attributes(std::ostream&, const ExpertCombine&) {}

void reference(const ExpertCombine& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  const Matrix weights = step.value(op.routing.weights);
  const IndexMatrix places = step.indices(op.routing.places);
  const Matrix out = step.value(op.out);
  for (std::int64_t t = 0; t < out.rows; ++t) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(out.columns); ++c) {
      double sum = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(weights.columns); ++i) {
        sum += weights.row(t)[i] * in.row(safe_index(places.row(t)[i], in.rows))[c];
      }
      out.row(t)[c] = sum;
    }
  }
}

}  // namespace ingot::internal::ops
