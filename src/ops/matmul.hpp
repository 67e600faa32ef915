// MatMul: for each part, out = in x weight^T (+ bias). The parts share the input, so an executor
// converts or quantizes the activations once for all of them.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct MatMul {
  static constexpr std::string_view kName = "matmul";
  struct Part {
    WeightOperand weight;               ///< [out columns, in columns]
    std::optional<WeightOperand> bias;  ///< F32 [out columns]
    ValueId out;
  };
  ValueId in;
  std::vector<Part> parts;
};

Operands operands(const MatMul& op);
void check(const MatMul& op, const Program& program);
Cost cost(const MatMul& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const MatMul& op);
void reference(const MatMul& op, ReferenceStep& step);

/// out = in x weight[expert]^T + row `bias_row` of the bias: the product of every reference.
void multiply(const ReferenceStep& step, const WeightOperand& weight, std::int64_t expert,
              const std::optional<WeightOperand>& bias, std::int64_t bias_row, const Matrix& in,
              const Matrix& out);

}  // namespace ingot::internal::ops
