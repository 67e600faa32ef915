#include "cpu/ops/build.hpp"

#include <algorithm>

namespace ingot::internal::cpu {

WeightRows BuildContext::rows(const WeightOperand& operand) const {
  const Tensor& tensor = program.tensor(operand.tensor);
  WeightRows out;
  out.row_bytes = static_cast<std::int64_t>(row_bytes(tensor.type, tensor.columns));
  out.rows = operand.rows.size();
  out.columns = operand.columns.size();
  out.format = &table.format(tensor.type);
  if (weights != nullptr) {
    out.packed_rows = std::clamp<std::int64_t>(
        weights->packed_rows(operand.tensor) - operand.rows.begin, 0, out.rows);
    const std::int64_t row = operand.experts.begin * tensor.rows + operand.rows.begin;
    out.first = weights->data(operand.tensor) + row * out.row_bytes +
                static_cast<std::int64_t>(row_bytes(tensor.type, operand.columns.begin));
  }
  return out;
}

const float* BuildContext::vector(const WeightOperand& operand) const {
  // ops::check has seen to it that the tensor is F32 and PackedWeights that it is aligned.
  return weights == nullptr ? nullptr : reinterpret_cast<const float*>(rows(operand).first);
}

}  // namespace ingot::internal::cpu
