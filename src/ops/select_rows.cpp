#include "src/ops/select_rows.hpp"

#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const SelectRows& op) {
  Operands used;
  used.reads = {op.in};
  used.writes = {op.out};
  return used;
}

void check(const SelectRows& op, const Program& program) {
  const Value& in = program.value(op.in);
  const Value& out = program.value(op.out);
  require(op, in.rows == Rows::tokens && out.rows == Rows::outputs && in.columns == out.columns,
          "takes ", in.name, " [tokens] to ", out.name, " [outputs] of the same width");
}

Cost cost(const SelectRows& op, const Program& program, const StepShape& shape) {
  Cost sum;
  sum.value_bytes = 8 * elements(program, shape, op.out);
  return sum;
}

void print_attributes(std::ostream&, const SelectRows&) {}

void reference(const SelectRows& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  const Matrix out = step.value(op.out);
  for (std::int64_t i = 0; i < out.rows; ++i) {
    const auto row = in.row(step.input().output_rows[static_cast<std::size_t>(i)]);
    std::copy(row.begin(), row.end(), out.row(i).begin());
  }
}

}  // namespace ingot::internal::ops
