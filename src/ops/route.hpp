// Route: chooses each token's experts and their weights, and groups the assignments by expert.
//
//   p = gate(logits)                     softmax over all experts, or sigmoid of each
//   chosen = the `used` experts of largest p (+ selection bias); ties go to the lower index
//   weights = p[chosen], divided by their sum if `normalise`, times `scale`
//
// Choosing first and taking the softmax over the chosen (gpt-oss, Mixtral) is the same as softmax
// with `normalise`. With groups (DeepSeek-V3) only experts of the best `groups_used` groups can be
// chosen; a group counts as much as its two best experts together. A NaN is never chosen before a
// number; a row of NaN chooses some experts, with weights NaN, so that the fault reaches the
// output.
#pragma once

#include "src/ops/op.hpp"
#include "src/ops/routing.hpp"

namespace ingot::internal::ops {

enum class Gate { softmax, sigmoid };

struct Route {
  static constexpr std::string_view kName = "route";
  ValueId logits;                               ///< [tokens, experts]
  std::optional<WeightOperand> selection_bias;  ///< F32 [experts]: counts for the choice only
  Gate gate = Gate::softmax;
  bool normalise = true;
  double scale = 1.0;
  std::int64_t used = 1;
  std::int64_t group_count = 1;
  std::int64_t groups_used = 1;
  Routing out;
};

Operands operands(const Route& op);
void check(const Route& op, const Program& program);
Cost cost(const Route& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Route& op);
void reference(const Route& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
