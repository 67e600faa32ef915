#include "src/ops/rope.hpp"

#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const Rope& op) {
  Operands used;
  used.reads = {op.in};
  used.writes = {op.out};
  return used;
}

void check(const Rope& op, const Program& program) {
  require_same_shape(op, program, op.in, op.out);
  const Value& in = program.value(op.in);
  require(op, in.rows == Rows::tokens, in.name, " should have a row per token: angles do");
  require(op, op.head_size > 0 && in.columns % op.head_size == 0, "heads of ", op.head_size,
          " do not divide a row of ", in.columns);
  require(op,
          op.rotary_size > 0 && op.rotary_size % 2 == 0 && op.rotary_offset >= 0 &&
              op.rotary_offset + op.rotary_size <= op.head_size,
          "cannot turn ", op.rotary_size, " columns from ", op.rotary_offset, " of a head of ",
          op.head_size);
  require(op, op.table >= 0 && static_cast<std::size_t>(op.table) < program.rope_tables.size(),
          "names rope table ", op.table, ", which does not exist");
  const auto& table = program.rope_tables[static_cast<std::size_t>(op.table)];
  require(op, static_cast<std::int64_t>(table.inverse_frequencies.size()) * 2 == op.rotary_size,
          "turns ", op.rotary_size, " columns with a table for ",
          2 * table.inverse_frequencies.size());
}

Cost cost(const Rope& op, const Program& program, const StepShape& shape) {
  const double turned = static_cast<double>(op.rotary_size) / static_cast<double>(op.head_size);
  return elementwise_cost(op, program, shape, 3 * turned);
}

void print_attributes(std::ostream& out, const Rope& op) {
  out << (op.layout == RopeLayout::norm ? "norm" : "neox") << ", heads of " << op.head_size
      << ", turns " << op.rotary_size << " from " << op.rotary_offset << ", table " << op.table;
}

void reference(const Rope& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  const Matrix out = step.value(op.out);
  const std::vector<float>& angles = step.input().rope[static_cast<std::size_t>(op.table)];
  const std::int64_t pairs = op.rotary_size / 2;
  const std::int64_t stride = op.layout == RopeLayout::norm ? 1 : pairs;
  const std::int64_t step_columns = op.layout == RopeLayout::norm ? 2 : 1;
  for (std::int64_t t = 0; t < in.rows; ++t) {
    std::copy(in.row(t).begin(), in.row(t).end(), out.row(t).begin());
    for (std::int64_t head = 0; head < in.columns; head += op.head_size) {
      const double* x = in.row(t).data() + head + op.rotary_offset;
      double* y = out.row(t).data() + head + op.rotary_offset;
      for (std::int64_t i = 0; i < pairs; ++i) {
        const auto at = static_cast<std::size_t>(2 * (t * pairs + i));
        const double c = angles[at];
        const double s = angles[at + 1];
        const std::int64_t a = i * step_columns;
        const std::int64_t b = a + stride;
        y[a] = x[a] * c - x[b] * s;
        y[b] = x[a] * s + x[b] * c;
      }
    }
  }
}

}  // namespace ingot::internal::ops
