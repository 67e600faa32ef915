// ExpertMatMul: for each part and each row in grouped order, out = in x weight[its expert]^T
// (+ bias[its expert]). The input has a row per token, which its experts share, or is in grouped
// order itself. Experts without rows are not read.
#pragma once

#include "src/ops/op.hpp"
#include "src/ops/routing.hpp"

namespace ingot::internal::ops {

struct ExpertMatMul {
  static constexpr std::string_view kName = "expert_matmul";
  struct Part {
    WeightOperand weight;               ///< [experts, out columns, in columns]
    std::optional<WeightOperand> bias;  ///< F32 [experts, out columns]
    ValueId out;                        ///< [assignments, out columns], grouped
  };
  ValueId in;  ///< [tokens, in columns] or [assignments, in columns], grouped
  Routing routing;
  std::vector<Part> parts;
};

/// Whether the input has a row per token instead of one per assignment.
bool is_per_token(const ExpertMatMul& op, const Program& program);

Operands operands(const ExpertMatMul& op);
void check(const ExpertMatMul& op, const Program& program);
Cost cost(const ExpertMatMul& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const ExpertMatMul& op);
void reference(const ExpertMatMul& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
