// Building blocks for the cost of an operation.
#pragma once

#include "src/program/program.hpp"

namespace ingot::internal {

/// Rows of a kind in a step.
std::int64_t rows(const Program& program, const StepShape& shape, Rows kind);

/// Elements of a value in a step.
double elements(const Program& program, const StepShape& shape, ValueId id);

/// Bytes of a weight operand in the file's format.
double weight_bytes(const Program& program, const WeightOperand& operand);

/// Traffic when every value and weight operand is touched once; an operation adds its flops and
/// corrects what it touches in part.
Cost traffic(const Operands& used, const Program& program, const StepShape& shape);

}  // namespace ingot::internal
