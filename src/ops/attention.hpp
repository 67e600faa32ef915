// Attention: softmax(scale * q k^T + mask) v per head over the stored rows of the token's own
// sequence, this step's included, up to its own position (causal). Query head h uses KV head
// h / (head_count / kv_head_count). Optional: a window (the last `window` positions), a soft cap
// (cap * tanh(score / cap)) and sinks (one extra logit per head that takes weight and gives
// nothing).
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct Attention {
  static constexpr std::string_view kName = "attention";
  ValueId query;  ///< [tokens, head_count * key_size]
  ValueId out;    ///< [tokens, head_count * value_size]
  StateId state;
  std::int64_t head_count = 0;
  double scale = 1.0;
  double soft_cap = 0.0;               ///< 0: none
  std::int64_t window = 0;             ///< 0: unlimited
  std::optional<WeightOperand> sinks;  ///< F32 [head_count]
};

Operands operands(const Attention& op);
void check(const Attention& op, const Program& program);
Cost cost(const Attention& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Attention& op);
void reference(const Attention& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
