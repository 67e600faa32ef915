// An architecture turns a file into a spec and a spec into a program. Nothing else in the engine
// knows which architecture is running.
#pragma once

#include <string_view>
#include <vector>

#include "ingot/model.hpp"
#include "src/program/builder.hpp"

namespace ingot::internal {

struct Architecture {
  std::string_view name;  ///< GGUF's general.architecture
  ModelSpec (*read_spec)(const GgufFile& file);
  /// `spec` has the caller's RunOptions already applied; the builder carries the context.
  Program (*build)(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
  std::string_view family = {};  ///< what people call models of it; ModelSpec::family
};

/// Every architecture, in the order of docs/models.
const std::vector<Architecture>& all_architectures();

/// Error unsupported, listing what there is, when the file's architecture is none of them.
const Architecture& find_architecture(const GgufFile& file);

/// The program for these options: RunOptions override the file's context and RoPE settings.
Program build_program(const ModelSpec& spec, const GgufFile& file, const RunOptions& options);

// One function per file of this folder; a spec reader where the file has keys of its own.
Program build_deepseek2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
ModelSpec read_deepseek2_spec(const GgufFile& file);
Program build_gemma3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_gpt_oss(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
ModelSpec read_gpt_oss_spec(const GgufFile& file);
Program build_granite(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_llama(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_olmo2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_phi3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
ModelSpec read_phi3_spec(const GgufFile& file);
Program build_qwen2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_qwen2moe(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_qwen3(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_qwen3moe(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);
Program build_starcoder2(const ModelSpec& spec, const GgufFile& file, ProgramBuilder builder);

}  // namespace ingot::internal
