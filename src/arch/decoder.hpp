// What decoder-only transformers have in common: reading their hyper-parameters, and the blocks
// from which an architecture file composes its layers.
#pragma once

#include <string>

#include "ingot/model.hpp"
#include "src/program/builder.hpp"

namespace ingot {

/// The GGUF key of a hyper-parameter: "<architecture>.<name>".
std::string arch_key(const GgufFile& file, std::string_view name);

/// Reads the keys that llama-like architectures share, checks that they make sense together, and
/// counts parameters. Error bad_file or unsupported naming the key.
ModelSpec read_decoder_spec(const GgufFile& file);

/// The tensors of layer `layer` are named "blk.<layer>.<name>".
std::string layer_name(std::int64_t layer, std::string_view name);

struct AttentionTraits {
  ops::RopeLayout rope_layout = ops::RopeLayout::norm;
  Bias qkv_bias = Bias::none;
  Bias output_bias = Bias::none;
};

/// Causal self-attention: q, k, v = W x; rotate q, k; store k, v; attend; project back to hidden
/// size.
ValueId self_attention(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                       const AttentionTraits& traits, std::int32_t rope_table);

/// Gated feed-forward: down(silu(gate x) * up x).
ValueId gated_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           Bias bias);

/// Final RMS norm over the rows that want logits and the output head, which is the embedding table
/// itself when the file has no output.weight.
ValueId rms_norm_head(ProgramBuilder& b, const ModelSpec& spec, ValueId x);

}  // namespace ingot
