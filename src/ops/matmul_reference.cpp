#include <Eigen/Core>
#include <algorithm>

#include "src/ops/matmul.hpp"
#include "src/ops/support.hpp"

namespace ingot::internal::ops {

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
    if (!step.by_row()) {
      y.middleCols(first, count).noalias() = x * panel.topRows(count).transpose();
      continue;
    }
    for (std::int64_t r = 0; r < in.rows; ++r) {
      y.row(r).segment(first, count).noalias() = x.row(r) * panel.topRows(count).transpose();
    }
  }
  if (bias) {
    const std::vector<float> row = step.weight_row(*bias, bias_row);
    for (std::int64_t c = 0; c < out.columns; ++c) {
      y.col(c).array() += static_cast<double>(row[static_cast<std::size_t>(c)]);
    }
  }
}

void reference(const MatMul& op, ReferenceStep& step) {
  Matrix in = step.value(op.in);
  in.rows = step.value(op.parts.front().out).rows;
  if (in.rows == 0) return;
  for (const MatMul::Part& part : op.parts) {
    multiply(step, part.weight, 0, part.bias, 0, in, step.value(part.out));
  }
}

}  // namespace ingot::internal::ops
