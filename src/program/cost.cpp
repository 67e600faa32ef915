#include "src/program/cost.hpp"

#include <algorithm>

namespace ingot::internal {

double StepShape::attended_pairs(std::int64_t window) const {
  double pairs = 0;
  for (const Sequence& s : sequences) {
    for (std::int64_t row = 0; row < s.rows; ++row) {
      const std::int64_t visible = s.cached + row + 1;
      pairs += static_cast<double>(window > 0 ? std::min(visible, window) : visible);
    }
  }
  return pairs;
}

std::int64_t rows(const Program& program, const StepShape& shape, Rows kind) {
  const RowCounts counts{shape.tokens(), shape.outputs, shape.heads.value_or(shape.outputs),
                         program.experts_used};
  return counts.of(kind);
}

double elements(const Program& program, const StepShape& shape, ValueId id) {
  const Value& value = program.value(id);
  return static_cast<double>(rows(program, shape, value.rows) * value.columns);
}

double weight_bytes(const Program& program, const WeightOperand& operand) {
  const Tensor& tensor = program.tensor(operand.tensor);
  return static_cast<double>(row_bytes(tensor.type, operand.columns.size())) *
         static_cast<double>(operand.rows.size() * operand.experts.size());
}

Cost traffic(const Operands& used, const Program& program, const StepShape& shape) {
  Cost cost;
  for (const ValueId id : used.reads) cost.value_bytes += 4 * elements(program, shape, id);
  for (const ValueId id : used.writes) cost.value_bytes += 4 * elements(program, shape, id);
  for (const WeightOperand& weight : used.weights) {
    cost.weight_bytes += weight_bytes(program, weight);
  }
  return cost;
}

Cost cost(const Instruction& instruction, const Program& program, const StepShape& shape) {
  return std::visit([&](const auto& op) { return cost(op, program, shape); }, instruction);
}

Cost cost(const Program& program, const StepShape& shape) {
  Cost sum;
  for (const Instruction& instruction : program.instructions) {
    sum += cost(instruction, program, shape);
  }
  return sum;
}

}  // namespace ingot::internal
