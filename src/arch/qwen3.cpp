// qwen3: the dense Qwen3 models, 0.6B to 32B (Yang et al. 2025). Differs from qwen2 in:
//   - each head of q and k is RMS-normalised before it turns;
//   - no biases;
//   - the head size is stated (attention.key_length), not hidden size / heads.
#include "src/arch/architecture.hpp"
#include "src/arch/llama.hpp"

namespace ingot::internal {

Program build_qwen3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.query_key_norm = QueryKeyNorm::per_head;
  return build_llama_with(spec, file, std::move(builder), traits, Bias::none);
}

}  // namespace ingot::internal
