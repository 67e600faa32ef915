// Inverse frequencies of rotary embeddings and their scaling variants.
#pragma once

#include <span>

#include "ingot/model.hpp"
#include "src/program/program.hpp"

namespace ingot::internal {

/// Pair i turns by base^(-2i / rotary_size) per position (Su et al. 2021), then scaled:
///   linear: all divided by the factor (Chen et al. 2023);
///   longrope: divided by `factors`; the magnitude is attention_factor (Ding et al. 2024);
///   yarn:   pairs that turn more than beta_fast times within the original context keep their
///           frequency, those below beta_slow turns are divided by the factor, a ramp between; the
///           magnitude is attention_factor (1 + 0.1 ln factor) (Peng et al. 2023). The published
///           implementation rounds the ramp's ends outwards to whole pairs, unless
///           scaling.truncate is false.
/// `factors` (empty, or one per pair: Llama 3.1's rope_freqs.weight, Phi's longrope factors) divide
/// the unscaled frequencies.
RopeTable rope_table(double base, std::int64_t rotary_size, const RopeScaling& scaling,
                     std::span<const float> factors);

}  // namespace ingot::internal
