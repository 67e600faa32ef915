// MatMul: for each part, out = in x weight^T (+ bias). The parts share the input, so an executor
// converts or quantizes the activations once for all of them.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::ops {

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

}  // namespace ingot::ops
