// What decoder-only transformers have in common: reading their hyper-parameters, and the blocks
// from which an architecture file composes its layers.
#pragma once

#include <string>
#include <vector>

#include "ingot/model.hpp"
#include "src/program/builder.hpp"

namespace ingot::internal {

/// The GGUF key of a hyper-parameter: "<architecture>.<name>".
std::string arch_key(const GgufFile& file, std::string_view name);

/// Reads the keys that llama-like architectures share, checks that they make sense together, and
/// counts parameters. Error bad_file or unsupported naming the key.
ModelSpec read_decoder_spec(const GgufFile& file);

/// What an architecture's file knows to do beyond that.
struct SpecTraits {
  bool knows_longrope = false;  ///< else RoPE scaling "longrope" is refused
  bool knows_experts = false;   ///< else a file with experts is refused
  bool layers_differ = true;    ///< else per-layer sizes that are not equal are refused
  bool truncates_yarn = true;   ///< RopeScaling::truncate of its published models
};
ModelSpec read_decoder_spec(const GgufFile& file, const SpecTraits& traits);
/// For architectures that know experts and nothing else beyond the common keys.
ModelSpec read_expert_decoder_spec(const GgufFile& file);

/// Per layer, whether it sees a window. attention.sliding_window_pattern says so: a truth value per
/// layer, or a period n of which the last layer sees everything. Where files are silent it is the
/// period `published`.
std::vector<bool> windowed_layers(const ModelSpec& spec, const GgufFile& file,
                                  std::int64_t published);

/// The key as a number in [low, high], or `fallback` when it is absent. Error bad_file naming it.
double real_key(const GgufFile& file, std::string_view name, double fallback, double low,
                double high);

/// The F32 factors by which tensor `name` (rope_freqs.weight, say) divides the frequencies of the
/// rotary pairs; empty when the file has no such tensor.
std::vector<float> rope_factors(const ModelSpec& spec, const GgufFile& file, ProgramBuilder& b,
                                const std::string& name);

/// Error unsupported if the key is there and not 0: a soft cap that this architecture's published
/// models do not have.
void refuse_soft_caps(const GgufFile& file);

/// attention.sliding_window: positions that a windowed layer sees, itself included; 0 when absent.
std::int64_t sliding_window(const GgufFile& file);

/// The tensors of layer `layer` are named "blk.<layer>.<name>".
std::string layer_name(std::int64_t layer, std::string_view name);

/// Whether queries and keys are RMS-normalised before they turn, with attn_q_norm and attn_k_norm.
enum class QueryKeyNorm { none, per_head, whole_row };

/// What may differ between architectures' attention, or between the layers of one.
struct AttentionTraits {
  ops::RopeLayout rope_layout = ops::RopeLayout::norm;
  Bias qkv_bias = Bias::none;
  Bias output_bias = Bias::none;
  QueryKeyNorm query_key_norm = QueryKeyNorm::none;
  std::int32_t rope_table = 0;
  std::int64_t window = 0;  ///< positions a token sees, itself included; 0: all
  double scale = 0;         ///< of the scores; 0: 1 / sqrt(key size)
  bool rotates = true;      ///< false: positions are not encoded at all
  bool fused_qkv = false;   ///< q, k and v lie one under the other in attn_qkv
  bool sinks = false;       ///< attn_sinks: one more logit per head
};

/// From the last layer's attention on nothing looks at another row, so only the rows whose logits
/// are asked for go on (SelectRows, a value of layer `layer` named `name`). Other layers: x itself.
ValueId last_layer_rows(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                        std::string_view name, ValueId x);

/// x + mixed, where `mixed` comes from last_layer_rows.
ValueId attention_residual(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           ValueId mixed);

/// Causal self-attention: q, k, v = W x; normalise and rotate q, k; store k, v; attend; keep
/// last_layer_rows; project back to hidden size.
ValueId self_attention(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                       const AttentionTraits& traits);

/// What may differ between architectures' gated feed-forward blocks.
struct FeedForwardTraits {
  Bias bias = Bias::none;
  ops::ActivationKind activation = ops::ActivationKind::silu;
  bool fused_gate_up = false;  ///< gate and up lie one under the other in ffn_up
};

/// Gated feed-forward: down(f(gate x) * up x).
ValueId gated_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           const FeedForwardTraits& traits);
inline ValueId gated_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                                  ValueId x, Bias bias) {
  return gated_feed_forward(b, spec, layer, x, FeedForwardTraits{.bias = bias});
}

/// Norms by the name of their tensors: `base`.weight, for layer norms `base`.bias as well.
ValueId norm(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, const std::string& base,
             ValueId x);

/// Final norm and the output head, which is the embedding table itself when the file has no
/// output.weight.
ValueId output_head(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, ValueId x);

}  // namespace ingot::internal
