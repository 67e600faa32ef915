#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/run_options.hpp"

namespace ingot::internal {

const std::vector<Architecture>& all_architectures() {
  static const std::vector<Architecture> all = {
      {"deepseek2", read_deepseek2_spec, build_deepseek2, "DeepSeek-V2 or V3"},
      {"gemma3", read_decoder_spec, build_gemma3, "Gemma 3"},
      {"gpt-oss", read_gpt_oss_spec, build_gpt_oss, "gpt-oss"},
      {"granite", read_decoder_spec, build_granite, "Granite"},
      {"llama", read_expert_decoder_spec, build_llama,
       "Llama (also Mistral, Mixtral, CodeLlama, DeepSeek-Coder)"},
      {"olmo2", read_decoder_spec, build_olmo2, "OLMo 2 or 3"},
      {"phi3", read_phi3_spec, build_phi3, "Phi-3 or Phi-4"},
      {"qwen2", read_decoder_spec, build_qwen2, "Qwen2 or Qwen2.5"},
      {"qwen2moe", read_expert_decoder_spec, build_qwen2moe, "Qwen2 with experts"},
      {"qwen3", read_decoder_spec, build_qwen3, "Qwen3"},
      {"qwen3moe", read_expert_decoder_spec, build_qwen3moe, "Qwen3 with experts"},
      {"starcoder2", read_decoder_spec, build_starcoder2, "StarCoder2"},
  };
  return all;
}

const Architecture& find_architecture(const GgufFile& file) {
  const auto wanted = file.get<std::string>("general.architecture");
  std::string known;
  for (const Architecture& candidate : all_architectures()) {
    if (candidate.name == wanted) return candidate;
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  fail(ErrorCode::unsupported, file.path(), ": architecture \"", wanted,
       "\" is not supported; this build runs: ", known);
}

Program build_program(const ModelSpec& spec, const GgufFile& file, const RunOptions& options) {
  const ModelSpec wanted = with_options(spec, options);
  const std::int64_t context = options.context > 0 ? options.context : spec.context_length;
  Program program =
      find_architecture(file).build(wanted, file, ProgramBuilder(file, spec.architecture, context));
  program.token_count = spec.token_count;
  return program;
}

}  // namespace ingot::internal

namespace ingot {

std::vector<std::string> architectures() try {
  std::vector<std::string> names;
  for (const internal::Architecture& a : internal::all_architectures()) names.emplace_back(a.name);
  return names;
} catch (...) {
  detail::rethrow_at_border("architectures");
}

}  // namespace ingot
