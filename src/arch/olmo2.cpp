// olmo2: OLMo 2 and Olmo 3 (OLMo team 2024, 2025).
//
//   per layer:  x = x + rms_norm(attention(x))       norms after the blocks, none before
//               x = x + rms_norm(silu_gated_mlp(x))
//
// q and k are RMS-normalised over the whole row before they turn (neox RoPE). Olmo 3 files carry
// attention.sliding_window: three of four layers see that window and turn by unscaled angles; every
// fourth (3, 7, ...) sees everything and turns by the file's scaling (YaRN). That pattern is Olmo
// 3's published configuration (layer_types), for files without attention.sliding_window_pattern.
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kPeriod = 4;

}  // namespace

Program build_olmo2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kRms = ops::NormKind::rms;
  const std::int64_t window = sliding_window(file);
  const std::vector<bool> windowed = windowed_layers(spec, file, kPeriod);
  AttentionTraits full;
  full.rope_layout = ops::RopeLayout::neox;
  full.query_key_norm = QueryKeyNorm::whole_row;
  full.rope_table =
      b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling, {}));
  AttentionTraits local = full;
  if (window > 0) {
    local.window = window;
    local.rope_table = b.rope_table(rope_table(spec.rope_base, spec.rotary_size, {}, {}));
  }
  ValueId x = b.embed_rows("embedding",
                           b.matrix("token_embd.weight", spec.vocabulary_size, spec.hidden_size));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    const bool is_local = windowed[static_cast<std::size_t>(layer)];
    const ValueId mixed = self_attention(b, spec, layer, x, is_local ? local : full);
    x = attention_residual(b, spec, layer, x,
                           norm(b, spec, kRms, name("post_attention_norm"), mixed));
    const ValueId fed = gated_feed_forward(b, spec, layer, x, Bias::none);
    x = b.add(name("ffn_residual"), x, norm(b, spec, kRms, name("post_ffw_norm"), fed));
  }
  return b.finish(output_head(b, spec, kRms, x));
}

}  // namespace ingot::internal
