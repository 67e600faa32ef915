// gpt-oss: gpt-oss-20b and -120b (OpenAI 2025).
//
//   - experts in every layer: the best expert_used_count (4 of 32 or 128) by their logits, weights
//     the softmax over those; biases on the router and on each expert;
//   - an expert is down((up + 1) * g / (1 + e^(-1.702 g))) with g = min(gate, 7) and up within +-7;
//   - attention has biases and one sink logit per head; even layers (0, 2, ...) see a window of
//     attention.sliding_window positions (128 where files are silent), odd layers everything
//     (sliding_window and layer_types of the published configuration), unless
//     attention.sliding_window_pattern says otherwise;
//   - YaRN on all layers, the ends of its ramp not rounded to whole pairs (rope_scaling.truncate of
//     the published configuration is false; files do not say so);
//   - the norm before the experts is called post_attention_norm.
#include "src/arch/architecture.hpp"
#include "src/arch/llama.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kPeriod = 2;    // of layer_types
constexpr std::int64_t kWindow = 128;  // sliding_window of the published configuration
constexpr double kLimit = 7.0;         // swiglu_limit of the published configuration

}  // namespace

ModelSpec read_gpt_oss_spec(const GgufFile& file) {
  SpecTraits traits;
  traits.knows_experts = true;
  traits.truncates_yarn = false;
  return read_decoder_spec(file, traits);
}

Program build_gpt_oss(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  require_experts(spec, file);
  AttentionTraits full;
  full.rope_layout = ops::RopeLayout::neox;
  full.qkv_bias = Bias::required;
  full.output_bias = Bias::required;
  full.sinks = true;
  AttentionTraits local = full;
  const std::int64_t window = sliding_window(file);
  local.window = window > 0 ? window : kWindow;
  const std::vector<bool> windowed = windowed_layers(spec, file, kPeriod);
  ExpertTraits experts;
  experts.router_bias = Bias::required;
  experts.expert_bias = Bias::required;
  experts.activation = ops::ActivationKind::gelu_quick;
  experts.limit = kLimit;
  experts = read_expert_traits(file, spec, experts);
  return build_llama_with(
      spec, file, std::move(builder),
      [&](std::int64_t layer) { return windowed[static_cast<std::size_t>(layer)] ? local : full; },
      [&](ProgramBuilder& b, std::int64_t layer, ValueId x) {
        return expert_feed_forward(b, spec, layer, x, experts);
      },
      "post_attention_norm");
}

}  // namespace ingot::internal
