// gemma3: the text models of Gemma 3, 270M to 27B (Gemma Team 2025).
//
//   x = sqrt(hidden size) * embed(ids)
//   per layer:  x = x + rms_norm(attention(rms_norm(x)))    norms before and after each block
//               x = x + rms_norm(gelu_tanh_gated_mlp(rms_norm(x)))
//   logits = head(rms_norm(x))                              the head is the embedding table
//
// Norm weights are used as the file has them: converters have added the 1 that the published code
// adds. Each head of q and k is RMS-normalised before it turns (neox). Five layers of six see a
// window and turn by their own base; every sixth (5, 11, ...) sees everything and turns by
// rope.freq_base, with the file's scaling (linear, factor 8, from 4B on).
//
// Files may leave out, in which case the published configuration counts: the period of the windows
// (attention.sliding_window_pattern: 6), the windowed layers' base (rope.freq_base_swa: 10,000) and
// the score scale, 1 / sqrt(head size) but for 27B (62 layers), where it is
// 1 / sqrt(hidden size / heads).
#include <cmath>

#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kPublishedPeriod = 6;
constexpr double kPublishedLocalBase = 10000.0;
constexpr std::int64_t kLayersOf27B = 62;

double score_scale(const ModelSpec& spec) {
  const std::int64_t size =
      spec.layer_count == kLayersOf27B ? spec.hidden_size / spec.head_count : spec.key_size;
  return 1.0 / std::sqrt(static_cast<double>(size));
}

}  // namespace

Program build_gemma3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kRms = ops::NormKind::rms;
  refuse_soft_caps(file);
  const std::vector<bool> windowed = windowed_layers(spec, file, kPublishedPeriod);
  AttentionTraits full;
  full.rope_layout = ops::RopeLayout::neox;
  full.query_key_norm = QueryKeyNorm::per_head;
  full.scale = real_key(file, "attention.scale", score_scale(spec), 1e-6, 1e6);
  full.rope_table =
      b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling, {}));
  AttentionTraits local = full;
  local.window = sliding_window(file);
  local.rope_table =
      b.rope_table(rope_table(real_key(file, "rope.freq_base_swa", kPublishedLocalBase, 1, 1e12),
                              spec.rotary_size, {}, {}));
  if (local.window == 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", arch_key(file, "attention.sliding_window"),
         " is missing or 0; a gemma3 model has windowed layers");
  }

  const FeedForwardTraits feed_forward{.activation = ops::ActivationKind::gelu_tanh};
  ValueId x = b.scale("scaled_embedding",
                      b.embed_rows("embedding", b.matrix("token_embd.weight", spec.vocabulary_size,
                                                         spec.hidden_size)),
                      std::sqrt(static_cast<double>(spec.hidden_size)));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    const ValueId mixed = self_attention(b, spec, layer, norm(b, spec, kRms, name("attn_norm"), x),
                                         windowed[static_cast<std::size_t>(layer)] ? local : full);
    x = attention_residual(b, spec, layer, x,
                           norm(b, spec, kRms, name("post_attention_norm"), mixed));
    const ValueId fed =
        gated_feed_forward(b, spec, layer, norm(b, spec, kRms, name("ffn_norm"), x), feed_forward);
    x = b.add(name("ffn_residual"), x, norm(b, spec, kRms, name("post_ffw_norm"), fed));
  }
  return b.finish(output_head(b, spec, kRms, x));
}

}  // namespace ingot::internal
