// ExpertCombine: back to token order: out[t] = sum over the token's experts, ascending, of weight
// times their row. The order of the sum depends on the token alone, not on its batch.
#pragma once

#include "src/ops/op.hpp"
#include "src/ops/routing.hpp"

namespace ingot::internal::ops {

struct ExpertCombine {
  static constexpr std::string_view kName = "expert_combine";
  ValueId in;  ///< [assignments, columns], grouped
  Routing routing;
  ValueId out;  ///< [tokens, columns]
};

Operands operands(const ExpertCombine& op);
void check(const ExpertCombine& op, const Program& program);
Cost cost(const ExpertCombine& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const ExpertCombine& op);
void reference(const ExpertCombine& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
