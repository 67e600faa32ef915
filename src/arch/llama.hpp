// The llama body, for architectures that state their differences from it.
#pragma once

#include "src/arch/decoder.hpp"

namespace ingot {

/// The program of src/arch/llama.cpp with the given attention and biases.
Program build_llama_with(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder,
                         AttentionTraits traits, Bias feed_forward_bias);

}  // namespace ingot
