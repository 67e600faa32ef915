// The mixture-of-experts feed-forward block, with what differs between architectures as traits.
#pragma once

#include "ingot/model.hpp"
#include "src/program/builder.hpp"

namespace ingot::internal {

/// How a layer's experts are chosen, what they compute, and what is shared by all tokens.
struct ExpertTraits {
  // --- choosing (src/ops/route.hpp)
  ops::Gate gate = ops::Gate::softmax;
  bool normalise = true;  ///< weights sum to `scale`
  double scale = 1.0;
  std::int64_t group_count = 1;
  std::int64_t groups_used = 1;
  Bias router_bias = Bias::none;
  Bias selection_bias = Bias::none;  ///< exp_probs_b.bias: counts for the choice only

  // --- one expert: down(f(gate x) * up x)
  Bias expert_bias = Bias::none;
  ops::ActivationKind activation = ops::ActivationKind::silu;
  double limit = 0.0;  ///< Glu::limit; 0: none

  // --- experts that every token uses, as one feed-forward block added to the result
  std::int64_t shared_size = 0;  ///< their columns together; 0: there are none
  bool shared_gate = false;      ///< ffn_gate_inp_shexp: sigmoid of one logit per token scales them
};

/// Reads what files say about the choice, over the architecture's own `defaults` where they are
/// silent: expert_gating_func, expert_weights_norm, expert_weights_scale, expert_group_count,
/// expert_group_used_count. Error unsupported naming a gating function that is none of ours,
/// bad_file for groups that make no sense.
ExpertTraits read_expert_traits(const GgufFile& file, const ModelSpec& spec, ExpertTraits defaults);

/// Error bad_file when an architecture that has experts in its layers finds none in the file.
void require_experts(const ModelSpec& spec, const GgufFile& file);

/// expert_shared_feed_forward_length, which is feed_forward_length where files are silent.
std::int64_t shared_expert_size(const GgufFile& file, const ModelSpec& spec);

/// Sum over the chosen experts of weight * down(f(gate x) * up x), plus the shared experts. Tensors
/// ffn_gate_inp, ffn_{gate,up,down}_exps (or ffn_gate_up_exps, or a tensor per expert),
/// ffn_{gate,up,down}_shexp, ffn_gate_inp_shexp, exp_probs_b.
ValueId expert_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                            const ExpertTraits& traits);

}  // namespace ingot::internal
