// qwen2: Qwen2, Qwen2.5(-Coder) and the R1 distills of them (Yang et al. 2024). Differs from llama
// in:
//   - RoPE turns column i with column i + rotary_size / 2 (neox layout);
//   - q, k and v have biases, no other matrix has;
//   - small sizes tie the head to the embedding table.
#include "src/arch/architecture.hpp"
#include "src/arch/llama.hpp"

namespace ingot::internal {

Program build_qwen2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder) {
  AttentionTraits traits;
  traits.rope_layout = ops::RopeLayout::neox;
  traits.qkv_bias = Bias::required;
  traits.output_bias = Bias::none;
  return build_llama_with(spec, file, std::move(builder), traits, Bias::none);
}

}  // namespace ingot::internal
