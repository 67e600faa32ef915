// The llama body, for architectures that state their differences from it.
#pragma once

#include <functional>
#include <string>

#include "src/arch/decoder.hpp"
#include "src/arch/experts.hpp"

namespace ingot::internal {

/// The feed-forward block of layer `layer` over normed rows `x`.
using FeedForward = std::function<ValueId(ProgramBuilder& b, std::int64_t layer, ValueId x)>;

/// The attention of layer `layer`; its RoPE table is set by the body.
using LayerAttention = std::function<AttentionTraits(std::int64_t layer)>;

/// The program of src/arch/llama.cpp with the given attention and feed-forward block, and the name
/// that files give to the norm before the latter.
Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         const LayerAttention& attention, const FeedForward& feed_forward,
                         const std::string& feed_forward_norm = "ffn_norm");

/// The same with gated feed-forward blocks.
Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         AttentionTraits traits, Bias feed_forward_bias);

/// The same with experts in every layer.
Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         AttentionTraits traits, const ExpertTraits& experts);

}  // namespace ingot::internal
