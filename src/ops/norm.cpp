#include "src/ops/norm.hpp"

#include <cmath>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

Operands operands(const Norm& op) {
  Operands used;
  used.reads = {op.in};
  used.writes = {op.out};
  if (op.weight) used.weights.push_back(*op.weight);
  if (op.bias) used.weights.push_back(*op.bias);
  return used;
}

void check(const Norm& op, const Program& program) {
  require_same_shape(op, program, op.in, op.out);
  const std::int64_t columns = program.value(op.in).columns;
  require(op, op.group_size > 0 && columns % op.group_size == 0, "groups of ", op.group_size,
          " do not divide a row of ", columns);
  require(op, op.epsilon > 0, "epsilon must be positive");
  for (const auto& vector : {op.weight, op.bias}) {
    if (!vector) continue;
    const bool per_group = vector->columns.size() == op.group_size;
    require_vector(op, program, *vector, per_group ? op.group_size : columns);
  }
}

Cost cost(const Norm& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, op.kind == NormKind::rms ? 4 : 7);
}

void print_attributes(std::ostream& out, const Norm& op) {
  out << (op.kind == NormKind::rms ? "rms" : "layer") << ", group " << op.group_size << ", epsilon "
      << op.epsilon;
}

void reference(const Norm& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  const Matrix out = step.value(op.out);
  std::vector<float> weight;
  std::vector<float> bias;
  if (op.weight) weight = step.weight_row(*op.weight, 0);
  if (op.bias) bias = step.weight_row(*op.bias, 0);
  const auto size = static_cast<double>(op.group_size);
  for (std::int64_t r = 0; r < in.rows; ++r) {
    for (std::int64_t begin = 0; begin < in.columns; begin += op.group_size) {
      const auto x = in.row(r).subspan(static_cast<std::size_t>(begin),
                                       static_cast<std::size_t>(op.group_size));
      double mean = 0;
      if (op.kind == NormKind::layer) {
        for (const double v : x) mean += v;
        mean /= size;
      }
      double square = 0;
      for (const double v : x) square += (v - mean) * (v - mean);
      const double factor = 1.0 / std::sqrt(square / size + op.epsilon);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t column = static_cast<std::size_t>(begin) + i;
        double y = (x[i] - mean) * factor;
        if (!weight.empty()) y *= weight[column % weight.size()];
        if (!bias.empty()) y += bias[column % bias.size()];
        out.row(r)[column] = y;
      }
    }
  }
}

}  // namespace ingot::internal::ops
