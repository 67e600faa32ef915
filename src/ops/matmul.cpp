#include "src/ops/matmul.hpp"

#include <Eigen/Core>
#include <algorithm>

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
  require(op, in.rows == Rows::tokens || in.rows == Rows::outputs, in.name,
          " should have a row per token or output: rows of experts are ExpertMatMul's");
  for (const MatMul::Part& part : op.parts) {
    const Value& out = program.value(part.out);
    require(op, part.weight.columns.size() == in.columns, program.tensor(part.weight.tensor).name,
            " has ", part.weight.columns.size(), " columns, ", in.name, " has ", in.columns);
    require(op, part.weight.experts.size() == 1, "uses one expert of a tensor");
    require(op, out.rows == in.rows && out.columns == part.weight.rows.size(), out.name,
            " should have ", part.weight.rows.size(), " columns and the input's rows");
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
  if (rows(program, shape, program.value(op.in).rows) == 0) sum = {};
  return sum;
}

void print_attributes(std::ostream&, const MatMul&) {}

void multiply(const ReferenceStep& step, const WeightOperand& weight, std::int64_t expert,
              const std::optional<WeightOperand>& bias, std::int64_t bias_row, const Matrix& in,
              const Matrix& out) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const RowMajor> x(in.data, in.rows, in.columns);
  Eigen::Map<RowMajor> y(out.data, out.rows, out.columns);
  // Weights are decoded a panel of rows at a time: the whole matrix in double would not fit beside
  // a large model.
  constexpr std::int64_t kPanelRows = 64;
  RowMajor panel(kPanelRows, in.columns);
  for (std::int64_t first = 0; first < out.columns; first += kPanelRows) {
    const std::int64_t count = std::min(kPanelRows, out.columns - first);
    for (std::int64_t r = 0; r < count; ++r) {
      const std::vector<float> row = step.weight_row(weight, first + r, expert);
      std::copy(row.begin(), row.end(), panel.data() + r * in.columns);
    }
    y.middleCols(first, count).noalias() = x * panel.topRows(count).transpose();
  }
  if (bias) {
    const std::vector<float> row = step.weight_row(*bias, bias_row);
    for (std::int64_t c = 0; c < out.columns; ++c) {
      y.col(c).array() += static_cast<double>(row[static_cast<std::size_t>(c)]);
    }
  }
}

void reference(const MatMul& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  if (in.rows == 0) return;
  for (const MatMul::Part& part : op.parts) {
    multiply(step, part.weight, 0, part.bias, 0, in, step.value(part.out));
  }
}

}  // namespace ingot::internal::ops
