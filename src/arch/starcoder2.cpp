// starcoder2: StarCoder2 3B, 7B, 15B (Lozhkov et al. 2024).
//
//   per layer:  x = x + attention(layer_norm(x))     neox RoPE, grouped KV heads
//               x = x + down(gelu_tanh(up layer_norm(x)))
//
// Every matrix but the head has a bias and every norm is a layer norm with one. A file that carries
// attention.sliding_window limits every layer to that many positions.
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

ValueId feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const auto linear = [&](std::string_view part, std::int64_t rows, std::int64_t columns) {
    return b.linear(name(part), rows, columns, Bias::required);
  };
  const ValueId up =
      b.matmul(name("ffn_up"), x, linear("ffn_up", spec.feed_forward_size, spec.hidden_size));
  return b.matmul(name("ffn_out"),
                  b.activation(name("ffn_activated"), ops::ActivationKind::gelu_tanh, up),
                  linear("ffn_down", spec.hidden_size, spec.feed_forward_size));
}

}  // namespace

Program build_starcoder2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kLayer = ops::NormKind::layer;
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.qkv_bias = Bias::required;
  traits.output_bias = Bias::required;
  traits.window = sliding_window(file);
  traits.rope_table =
      b.rope_table(rope_table(spec.rope_base, spec.rotary_size, spec.rope_scaling, {}));
  ValueId x = b.embed_rows("embedding",
                           b.matrix("token_embd.weight", spec.vocabulary_size, spec.hidden_size));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    x = attention_residual(
        b, spec, layer, x,
        self_attention(b, spec, layer, norm(b, spec, kLayer, name("attn_norm"), x), traits));
    x = b.add(name("ffn_residual"), x,
              feed_forward(b, spec, layer, norm(b, spec, kLayer, name("ffn_norm"), x)));
  }
  return b.finish(output_head(b, spec, kLayer, x));
}

}  // namespace ingot::internal
