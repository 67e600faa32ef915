// granite: the dense Granite 3 and Granite 4 models (IBM 2024, 2025). The llama body with four
// factors, each a key of the file:
//
//   x = embedding_scale * embed(ids)
//   per layer:  x = x + residual_scale * attention(rms_norm(x))    scores times attention.scale
//               x = x + residual_scale * silu_gated_mlp(rms_norm(x))
//   logits = head(rms_norm(x)) / logit_scale
//
// logit_scale is required. A missing attention.scale is 1 / sqrt(head size), the other two are 1
// (so is a residual_scale of 0), as the converters that write these keys have it. Granite 4 models
// without positional encoding say rope.scaling.finetuned = false: nothing turns.
#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/layer_keys.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

constexpr double kLargestFactor = 1e6;

double factor(const GgufFile& file, std::string_view name, double fallback) {
  const double value = real_key(file, name, fallback, 0, kLargestFactor);
  return value > 0 ? value : fallback;
}

}  // namespace

Program build_granite(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kRms = ops::NormKind::rms;
  const double logit_scale = factor(file, "logit_scale", 0);
  if (logit_scale == 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", arch_key(file, "logit_scale"),
         " is missing or 0; logits of a granite model are divided by it");
  }
  const double residual = factor(file, "residual_scale", 1);
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::norm;
  traits.qkv_bias = Bias::optional;
  traits.output_bias = Bias::optional;
  traits.scale = factor(file, "attention.scale", 0);
  traits.rotates = uniform_key<bool>(file, arch_key(file, "rope.scaling.finetuned"), true);
  if (traits.rotates) {
    traits.rope_table = b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling,
                                                rope_factors(spec, file, b, "rope_freqs.weight")));
  }
  ValueId x = b.scale("scaled_embedding",
                      b.embed_rows("embedding", b.matrix("token_embd.weight", spec.vocabulary_size,
                                                         spec.hidden_size)),
                      factor(file, "embedding_scale", 1));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    const ValueId mixed =
        self_attention(b, spec, layer, norm(b, spec, kRms, name("attn_norm"), x), traits);
    x = attention_residual(b, spec, layer, x, b.scale(name("attention_scaled"), mixed, residual));
    const ValueId fed = gated_feed_forward(b, spec, layer, norm(b, spec, kRms, name("ffn_norm"), x),
                                           Bias::optional);
    x = b.add(name("ffn_residual"), x, b.scale(name("ffn_scaled"), fed, residual));
  }
  const ValueId logits = output_head(b, spec, kRms, x);
  return b.finish(b.scale("scaled_logits", logits, 1 / logit_scale));
}

}  // namespace ingot::internal
