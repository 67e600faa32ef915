// deepseek2: DeepSeek-V2 and V2.5, DeepSeek-Coder-V2 (Lite too), DeepSeek-V3 and R1 (DeepSeek-AI
// 2024).
//
//   per layer:  x = x + latent_attention(rms_norm(x))
//               x = x + mlp(rms_norm(x))            the first leading_dense_block_count layers
//               x = x + experts(rms_norm(x))        the others: chosen experts and shared ones
//
// Attention: the query is W x, or W_b rms_norm(W_a x) where the file has q_lora_rank. One matrix
// gives the latent (kv_lora_rank columns, RMS-normalised) and the key columns that turn and that
// all heads share; keys and values of the heads are linear in the latent
// (src/ops/latent_attention.hpp). The last rope.dimension_count columns of a head turn, neighbours
// against each other.
//
// Files have one of two layouts: attn_kv_b, with head sizes in key_length and value_length; or
// attn_k_b (transposed) and attn_v_b, with head sizes in key_length_mla and value_length_mla.
//
// YaRN: cos and sin keep magnitude 1; instead scores are multiplied by
// (1 + yarn_log_multiplier ln factor)^2, with the multiplier 0.1 * mscale_all_dim of the published
// configuration.
//
// Where files are silent (those of V2): softmax over all experts, weights neither normalised nor
// scaled. V3 files state sigmoid, normalised, scaled, and carry exp_probs_b. Expert groups are
// those of V3; V2's, which count a group by its best expert only, are refused.
#include <cmath>

#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/experts.hpp"
#include "src/arch/layer_keys.hpp"
#include "src/arch/rope_frequencies.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;

std::int64_t size_key(const GgufFile& file, std::string_view name, std::int64_t fallback) {
  const std::string key = arch_key(file, name);
  const auto value = uniform_key<std::int64_t>(file, key, fallback);
  if (value < 0 || value >= kLargest) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", value,
         "; expected 0 to 2^31 - 1");
  }
  return value;
}

struct LatentTraits {
  std::int64_t query_rank = 0;  ///< columns of the compressed query; 0: not compressed
  std::int64_t latent_size = 0;
  std::int32_t rope_table = 0;
  double scale = 1.0;
};

LatentTraits read_latent_traits(const ModelSpec& spec, const GgufFile& file, ProgramBuilder& b) {
  LatentTraits traits;
  traits.query_rank = size_key(file, "attention.q_lora_rank", 0);
  traits.latent_size = size_key(file, "attention.kv_lora_rank", 0);
  if (traits.latent_size == 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", arch_key(file, "attention.kv_lora_rank"),
         " is missing or 0; a deepseek2 model has a latent");
  }
  const std::string temperature = arch_key(file, "attention.temperature_scale");
  if (uniform_key<double>(file, temperature, 0.0) != 0) {
    fail(ErrorCode::unsupported, file.path(), ": key ", temperature,
         ": scores that depend on the position are not supported by this architecture");
  }
  RopeScaling scaling = spec.rope_scaling;
  double magnitude = 1.0;
  if (scaling.kind == RopeScaling::Kind::yarn) {
    const double logarithm = std::log(scaling.factor);
    magnitude = 1.0 + logarithm * real_key(file, "rope.scaling.yarn_log_multiplier", 0, 0, 1);
    scaling.attention_factor /= 1.0 + 0.1 * logarithm;  // what rope_table multiplies with
  }
  traits.scale = magnitude * magnitude / std::sqrt(static_cast<double>(spec.key_size));
  traits.rope_table = b.rope_table(rope_table(spec.rope_base, spec.rotary_size, scaling, {}));
  return traits;
}

ValueId latent_attention(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                         const LatentTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const std::int64_t heads = spec.head_count;
  const std::int64_t plain_size = spec.key_size - spec.rotary_size;
  const std::int64_t query_size = heads * spec.key_size;
  const bool compressed = traits.query_rank > 0;
  const auto down = b.stacked_linears(name("attn_kv_a_mqa"), {traits.latent_size, spec.rotary_size},
                                      spec.hidden_size);
  const auto parts = b.matmul(
      {name(compressed ? "query_compressed" : "query"), name("latent"), name("key")}, x,
      {compressed ? b.linear(name("attn_q_a"), traits.query_rank, spec.hidden_size, Bias::none)
                  : b.linear(name("attn_q"), query_size, spec.hidden_size, Bias::none),
       down[0], down[1]});
  ValueId query = parts[0];
  if (compressed) {
    query =
        b.rms_norm(name("query_norm"), query,
                   b.vector(name("attn_q_a_norm.weight"), traits.query_rank), spec.norm_epsilon);
    query = b.matmul(name("query"), query,
                     b.linear(name("attn_q_b"), query_size, traits.query_rank, Bias::none));
  }
  query = b.rope(name("query_rotated"), query, ops::RopeLayout::norm, spec.key_size,
                 spec.rotary_size, traits.rope_table, plain_size);
  const ValueId key = b.rope(name("key_rotated"), parts[2], ops::RopeLayout::norm, spec.rotary_size,
                             spec.rotary_size, traits.rope_table);
  const ValueId latent =
      b.rms_norm(name("latent_norm"), parts[1],
                 b.vector(name("attn_kv_a_norm.weight"), traits.latent_size), spec.norm_epsilon);

  ops::LatentAttention op;
  op.state = b.latent_state(name("latents"), traits.latent_size, spec.rotary_size);
  b.state_store(key, latent, op.state);
  op.query = query;
  if (b.has_tensor(name("attn_kv_b.weight"))) {
    op.keys = b.matrix(name("attn_kv_b.weight"), heads * (plain_size + spec.value_size),
                       traits.latent_size);
  } else {
    op.keys = b.expert_matrices(name("attn_k_b.weight"), heads, traits.latent_size, plain_size);
    op.values =
        b.expert_matrices(name("attn_v_b.weight"), heads, spec.value_size, traits.latent_size);
  }
  op.head_count = heads;
  op.plain_size = plain_size;
  op.turned_size = spec.rotary_size;
  op.value_size = spec.value_size;
  op.scale = traits.scale;
  const ValueId mixed = last_layer_rows(b, spec, layer, "attention_outputs",
                                        b.latent_attention(name("attention"), op));
  return b.matmul(
      name("attention_out"), mixed,
      b.linear(name("attn_output"), spec.hidden_size, heads * spec.value_size, Bias::none));
}

}  // namespace

ModelSpec read_deepseek2_spec(const GgufFile& file) {
  SpecTraits traits;
  traits.knows_experts = true;
  traits.layers_differ = false;
  ModelSpec spec = read_decoder_spec(file, traits);
  spec.key_size = size_key(file, "attention.key_length_mla", spec.key_size);
  spec.value_size = size_key(file, "attention.value_length_mla", spec.value_size);
  spec.kv_head_count = spec.head_count;  // what is cached is one row for all of them
  if (spec.key_size <= spec.rotary_size || spec.value_size < 1) {
    fail(ErrorCode::bad_file, file.path(), ": heads of ", spec.key_size, " and ", spec.value_size,
         " columns, ", spec.rotary_size, " of which turn, make no sense");
  }
  return spec;
}

Program build_deepseek2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder b) {
  constexpr auto kRms = ops::NormKind::rms;
  const LatentTraits attention = read_latent_traits(spec, file, b);
  const std::int64_t dense_layers = size_key(file, "leading_dense_block_count", 0);
  if (dense_layers < spec.layer_count) require_experts(spec, file);
  ExpertTraits experts;
  experts.normalise = false;
  experts.selection_bias = Bias::optional;
  experts = read_expert_traits(file, spec, experts);
  if (experts.group_count > 1 && experts.gate == ops::Gate::softmax) {
    fail(ErrorCode::unsupported, file.path(), ": ", experts.group_count,
         " expert groups with softmax gating (DeepSeek-V2's) are not supported");
  }
  experts.shared_size = size_key(file, "expert_shared_count", 0) * spec.expert_feed_forward_size;

  ValueId x = b.embed_rows("embedding",
                           b.matrix("token_embd.weight", spec.vocabulary_size, spec.hidden_size));
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
    x = attention_residual(
        b, spec, layer, x,
        latent_attention(b, spec, layer, norm(b, spec, kRms, name("attn_norm"), x), attention));
    const ValueId normed = norm(b, spec, kRms, name("ffn_norm"), x);
    x = b.add(name("ffn_residual"), x,
              layer < dense_layers ? gated_feed_forward(b, spec, layer, normed, Bias::none)
                                   : expert_feed_forward(b, spec, layer, normed, experts));
  }
  return b.finish(output_head(b, spec, kRms, x));
}

}  // namespace ingot::internal
