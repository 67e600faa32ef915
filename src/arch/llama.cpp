// llama: Llama 2/3, CodeLlama, DeepSeek-Coder (V1), Codestral and Mistral (Touvron et al. 2023).
//
//   x = embed(ids)
//   per layer:  x = x + attention(rms_norm(x))      RoPE on neighbouring columns, grouped KV heads
//               x = x + silu_gated_mlp(rms_norm(x))
//   logits = head(rms_norm(x))                      the head may be the embedding table
//
// Biases are optional; Llama 3.1 carries per-pair RoPE factors in rope_freqs.weight. Mixtral (Jiang
// et al. 2024) has experts in place of the MLP: softmax, the best two of eight, weights that sum to
// one.
#include "src/arch/llama.hpp"

#include "src/arch/architecture.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b,
                         const LayerAttention& attention, const FeedForward& feed_forward,
                         const std::string& feed_forward_norm) {
  constexpr auto kRms = ops::NormKind::rms;
  const std::int32_t table =
      b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling,
                              rope_factors(spec, file, b, "rope_freqs.weight")));
  ValueId x = b.embed_rows("embedding",
                           b.matrix("token_embd.weight", spec.vocabulary_size, spec.hidden_size));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    AttentionTraits traits = attention(layer);
    traits.rope_table = table;
    x = attention_residual(
        b, spec, layer, x,
        self_attention(b, spec, layer, norm(b, spec, kRms, name("attn_norm"), x), traits));
    x = b.add(name("ffn_residual"), x,
              feed_forward(b, layer, norm(b, spec, kRms, name(feed_forward_norm), x)));
  }
  return b.finish(output_head(b, spec, kRms, x));
}

Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         AttentionTraits traits, Bias feed_forward_bias) {
  return build_llama_with(
      spec, file, std::move(builder), [&](std::int64_t) { return traits; },
      [&](ProgramBuilder& b, std::int64_t layer, ValueId x) {
        return gated_feed_forward(b, spec, layer, x, feed_forward_bias);
      });
}

Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         AttentionTraits traits, const ExpertTraits& experts) {
  return build_llama_with(
      spec, file, std::move(builder), [&](std::int64_t) { return traits; },
      [&](ProgramBuilder& b, std::int64_t layer, ValueId x) {
        return expert_feed_forward(b, spec, layer, x, experts);
      });
}

Program build_llama(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::norm;
  traits.qkv_bias = Bias::optional;
  traits.output_bias = Bias::optional;
  if (spec.expert_count > 0) {
    return build_llama_with(spec, file, std::move(builder), traits,
                            read_expert_traits(file, spec, {}));
  }
  return build_llama_with(spec, file, std::move(builder), traits, Bias::optional);
}

}  // namespace ingot::internal
