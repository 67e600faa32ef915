#include "src/arch/decoder.hpp"

#include <cmath>

namespace ingot::internal {

std::string layer_name(std::int64_t layer, std::string_view name) {
  return "blk." + std::to_string(layer) + "." + std::string(name);
}

ValueId last_layer_rows(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                        std::string_view name, ValueId x) {
  return layer + 1 < spec.layer_count ? x : b.select_rows(layer_name(layer, name), x);
}

ValueId attention_residual(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           ValueId mixed) {
  return b.add(layer_name(layer, "attention_residual"),
               last_layer_rows(b, spec, layer, "outputs", x), mixed);
}

ValueId norm(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, const std::string& base,
             ValueId x) {
  const WeightOperand weight = b.vector(base + ".weight", spec.hidden_size);
  if (kind == ops::NormKind::rms) return b.rms_norm(base, x, weight, spec.norm_epsilon);
  return b.layer_norm(base, x, weight, b.vector(base + ".bias", spec.hidden_size),
                      spec.norm_epsilon);
}

ValueId self_attention(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                       const AttentionTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const std::int64_t heads = spec.heads_of(layer);
  const std::int64_t kv_heads = spec.kv_heads_of(layer);
  const std::int64_t query_size = heads * spec.key_size;
  const std::int64_t key_size = kv_heads * spec.key_size;
  const std::int64_t value_size = kv_heads * spec.value_size;

  const auto qkv =
      b.matmul({name("query"), name("key"), name("value")}, x,
               traits.fused_qkv
                   ? b.stacked_linears(name("attn_qkv"), {query_size, key_size, value_size},
                                       spec.hidden_size)
                   : std::vector<Linear>{
                         b.linear(name("attn_q"), query_size, spec.hidden_size, traits.qkv_bias),
                         b.linear(name("attn_k"), key_size, spec.hidden_size, traits.qkv_bias),
                         b.linear(name("attn_v"), value_size, spec.hidden_size, traits.qkv_bias)});
  const auto normalise_and_rotate = [&](const std::string& part, const std::string& norm_tensor,
                                        ValueId value, std::int64_t row_size) {
    if (traits.query_key_norm != QueryKeyNorm::none) {
      const bool per_head = traits.query_key_norm == QueryKeyNorm::per_head;
      const std::int64_t group = per_head ? spec.key_size : row_size;
      value = b.rms_norm(name(part + "_norm"), value,
                         b.vector(name(norm_tensor) + ".weight", group), spec.norm_epsilon, group);
    }
    if (!traits.rotates) return value;
    return b.rope(name(part + "_rotated"), value, traits.rope_layout, spec.key_size,
                  spec.rotary_size, traits.rope_table);
  };
  const ValueId query = normalise_and_rotate("query", "attn_q_norm", qkv[0], query_size);
  const ValueId key = normalise_and_rotate("key", "attn_k_norm", qkv[1], key_size);

  const StateId state =
      b.state(name("kv"), kv_heads, spec.key_size, spec.value_size, traits.window);
  b.state_store(key, qkv[2], state);
  const double scale =
      traits.scale > 0 ? traits.scale : 1.0 / std::sqrt(static_cast<double>(spec.key_size));
  std::optional<WeightOperand> sinks;
  if (traits.sinks) sinks = b.vector(name("attn_sinks.weight"), heads);
  const ValueId mixed = last_layer_rows(
      b, spec, layer, "attention_outputs",
      b.attention(name("attention"), query, state, heads, scale, traits.window, sinks));
  return b.matmul(
      name("attention_out"), mixed,
      b.linear(name("attn_output"), spec.hidden_size, heads * spec.value_size, traits.output_bias));
}

ValueId gated_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           const FeedForwardTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const std::int64_t size = spec.feed_forward_of(layer);
  const auto gate_up = b.matmul(
      {name("ffn_gate"), name("ffn_up")}, x,
      traits.fused_gate_up
          ? b.stacked_linears(name("ffn_up"), {size, size}, spec.hidden_size)
          : std::vector<Linear>{b.linear(name("ffn_gate"), size, spec.hidden_size, traits.bias),
                                b.linear(name("ffn_up"), size, spec.hidden_size, traits.bias)});
  const ValueId activated = b.glu(name("ffn_activated"), traits.activation, gate_up[0], gate_up[1]);
  return b.matmul(name("ffn_out"), activated,
                  b.linear(name("ffn_down"), spec.hidden_size, size, traits.bias));
}

ValueId output_head(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, ValueId x) {
  const ValueId normed = norm(b, spec, kind, "output_norm", x);
  const bool tied = !b.has_tensor("output.weight");
  Linear head;
  head.weight =
      b.matrix(tied ? "token_embd.weight" : "output.weight", spec.logit_count, spec.hidden_size);
  return b.head("logits", normed, head);
}

}  // namespace ingot::internal
