// phi3: Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024). Differs from llama in:
//   - q, k, v are one tensor (attn_qkv), gate and up another (ffn_up, the gate first);
//   - neox RoPE; Phi-4-mini turns only rope.dimension_count columns of a head;
//   - longrope: the frequencies of the pairs are divided by rope_factors_short while the context is
//     within rope.scaling.original_context_length, else by rope_factors_long; cos and sin are
//     multiplied by rope.scaling.attn_factor. The choice is made once, by the context that the
//     program is written for, since turning it in the middle of a text would make the cached keys
//     wrong. Files need not name the scaling: the tensors do.
//   - attention.sliding_window, if there, limits every layer to that many positions, the token's
//   own
//     included, as the published code masks it.
#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

constexpr const char* kShort = "rope_factors_short.weight";
constexpr const char* kLong = "rope_factors_long.weight";

bool has_factors(const GgufFile& file) {
  return file.find_tensor(kShort) != nullptr || file.find_tensor(kLong) != nullptr;
}

}  // namespace

ModelSpec read_phi3_spec(const GgufFile& file) {
  ModelSpec spec = read_decoder_spec(file, {.knows_longrope = true});
  const bool named = spec.rope_scaling.kind == RopeScaling::Kind::longrope;
  if (has_factors(file) &&
      (file.find_tensor(kShort) == nullptr || file.find_tensor(kLong) == nullptr)) {
    fail(ErrorCode::bad_file, file.path(), ": it has only one of ", kShort, " and ", kLong);
  }
  if (named && !has_factors(file)) {
    fail(ErrorCode::bad_file, file.path(), ": RoPE scaling \"longrope\" without ", kShort, " and ",
         kLong);
  }
  if (has_factors(file)) spec.rope_scaling.kind = RopeScaling::Kind::longrope;
  return spec;
}

Program build_phi3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kRms = ops::NormKind::rms;
  const std::vector<float> short_factors = rope_factors(spec, file, b, kShort);
  const std::vector<float> long_factors = rope_factors(spec, file, b, kLong);
  const bool scaled = spec.rope_scaling.kind == RopeScaling::Kind::longrope;
  const bool is_long = b.context() > spec.rope_scaling.original_context;
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.fused_qkv = true;
  traits.window = sliding_window(file);
  traits.rope_table = b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling,
                                              !scaled   ? std::vector<float>{}
                                              : is_long ? long_factors
                                                        : short_factors));
  const FeedForwardTraits feed_forward{.fused_gate_up = true};
  ValueId x = b.embed_rows("embedding",
                           b.matrix("token_embd.weight", spec.vocabulary_size, spec.hidden_size));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    x = attention_residual(
        b, spec, layer, x,
        self_attention(b, spec, layer, norm(b, spec, kRms, name("attn_norm"), x), traits));
    x = b.add(
        name("ffn_residual"), x,
        gated_feed_forward(b, spec, layer, norm(b, spec, kRms, name("ffn_norm"), x), feed_forward));
  }
  return b.finish(output_head(b, spec, kRms, x));
}

}  // namespace ingot::internal
