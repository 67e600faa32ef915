// qwen2moe: Qwen1.5-MoE-A2.7B and Qwen2-57B-A14B (Qwen team 2024). Differs from qwen2 in:
//   - experts in place of the MLP: softmax over all, the best expert_used_count; their weights are
//     the probabilities themselves and do not sum to one;
//   - a shared expert that every token uses, times the sigmoid of one logit per token.
#include "src/arch/architecture.hpp"
#include "src/arch/llama.hpp"

namespace ingot::internal {

Program build_qwen2moe(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  require_experts(spec, file);
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.qkv_bias = Bias::required;
  ExpertTraits experts;
  experts.normalise = false;
  experts.shared_size = shared_expert_size(file, spec);
  experts.shared_gate = true;
  return build_llama_with(spec, file, std::move(builder), traits,
                          read_expert_traits(file, spec, experts));
}

}  // namespace ingot::internal
