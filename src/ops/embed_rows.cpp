#include "src/ops/embed_rows.hpp"

#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const EmbedRows& op) {
  Operands used;
  used.writes = {op.out};
  used.weights = {op.table};
  return used;
}

void check(const EmbedRows& op, const Program& program) {
  const Value& out = program.value(op.out);
  require(op, out.rows == Rows::tokens && out.columns == op.table.columns.size(), out.name,
          " should be [tokens, ", op.table.columns.size(), "]");
}

Cost cost(const EmbedRows& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  // Only the rows of the step's tokens are read.
  sum.weight_bytes *= std::min(
      1.0, static_cast<double>(shape.tokens()) / static_cast<double>(op.table.rows.size()));
  return sum;
}

void print_attributes(std::ostream&, const EmbedRows&) {}

void reference(const EmbedRows& op, ReferenceStep& step) {
  const Matrix out = step.value(op.out);
  for (std::int64_t t = 0; t < out.rows; ++t) {
    const std::vector<float> row =
        step.weight_row(op.table, step.input().ids[static_cast<std::size_t>(t)]);
    std::copy(row.begin(), row.end(), out.row(t).begin());
  }
}

}  // namespace ingot::internal::ops
