// Shared by the operations' source files: checks that name the operation, and shape shorthands.
#pragma once

#include <ostream>

#include "ingot/error.hpp"
#include "src/ops/reference_step.hpp"
#include "src/program/cost.hpp"
#include "src/program/program.hpp"

namespace ingot::internal::ops {

template <class Op, class... Parts>
void require(const Op&, bool holds, const Parts&... parts) {
  if (!holds) fail(ErrorCode::internal, Op::kName, ": ", parts...);
}

/// Both values have the same rows and columns.
template <class Op>
void require_same_shape(const Op& op, const Program& program, ValueId a, ValueId b) {
  const Value& left = program.value(a);
  const Value& right = program.value(b);
  require(op, left.rows == right.rows && left.columns == right.columns, left.name, " [",
          left.columns, "] and ", right.name, " [", right.columns, "] differ in shape");
}

/// A vector operand: one F32 row of `size` elements.
template <class Op>
void require_vector(const Op& op, const Program& program, const WeightOperand& operand,
                    std::int64_t size) {
  const Tensor& tensor = program.tensor(operand.tensor);
  require(op,
          operand.rows.size() == 1 && operand.experts.size() == 1 && operand.columns.size() == size,
          tensor.name, " should be a vector of ", size);
  require(op, tensor.type == DType::F32, tensor.name, " should be F32");
}

/// Cost of an elementwise operation: `flops_each` per element of its (one) output.
template <class Op>
Cost elementwise_cost(const Op& op, const Program& program, const StepShape& shape,
                      double flops_each) {
  Cost sum = traffic(operands(op), program, shape);
  sum.flops = flops_each * elements(program, shape, op.out);
  return sum;
}

}  // namespace ingot::internal::ops
