// LatentAttention: attention whose keys and values of all heads are linear in one small row per
// position, the latent (DeepSeek-AI 2024, "multi-head latent attention"). With c the latent and r
// the turned key columns that all heads share, head h has
//   key = [K_h c, r],  value = V_h c,  out = softmax(scale * q_h . key + causal mask) value.
// An executor may compute it so (expanded), or as attention over the latents themselves with
// queries [K_h^T q_h, turned part of q_h] and V_h applied to the result (absorbed): the same
// numbers but for rounding.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct LatentAttention {
  static constexpr std::string_view kName = "latent_attention";
  ValueId query;  ///< [tokens, head_count * (plain_size + turned_size)]: plain columns first
  ValueId out;    ///< [tokens, head_count * value_size]
  StateId state;  ///< latent: a row is [latent, turned key columns]
  /// K and V of the heads, in one of two layouts:
  ///   values absent: keys is [head_count * (plain_size + value_size), latent], per head its K_h,
  ///     then its V_h (GGUF's attn_kv_b);
  ///   else keys is [head_count experts, latent, plain_size], each K_h^T, and values is
  ///     [head_count experts, value_size, latent] (attn_k_b, attn_v_b).
  WeightOperand keys;
  std::optional<WeightOperand> values;
  std::int64_t head_count = 0;
  std::int64_t plain_size = 0;   ///< columns of a query head that do not turn
  std::int64_t turned_size = 0;  ///< columns that do
  std::int64_t value_size = 0;   ///< per head
  double scale = 1.0;
};

/// The weight of one head, as a plain matrix.
struct HeadWeight {
  WeightOperand weight;
  bool transposed = false;  ///< the weight is the transpose of what is meant
};
HeadWeight key_weight(const LatentAttention& op, std::int64_t head);    ///< [plain_size, latent]
HeadWeight value_weight(const LatentAttention& op, std::int64_t head);  ///< [value_size, latent]

Operands operands(const LatentAttention& op);
void check(const LatentAttention& op, const Program& program);
Cost cost(const LatentAttention& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const LatentAttention& op);
void reference(const LatentAttention& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
