// qwen3moe: Qwen3-Coder-30B-A3B and its relatives (Yang et al. 2025). Differs from qwen3 in:
//   - experts in place of the MLP: softmax over all, the best expert_used_count (8 of 128), weights
//     that sum to one.
#include "src/arch/architecture.hpp"
#include "src/arch/llama.hpp"

namespace ingot::internal {

Program build_qwen3moe(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  require_experts(spec, file);
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.query_key_norm = QueryKeyNorm::per_head;
  return build_llama_with(spec, file, std::move(builder), traits,
                          read_expert_traits(file, spec, {}));
}

}  // namespace ingot::internal
