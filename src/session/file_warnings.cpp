#include "src/session/file_warnings.hpp"

#include "ingot/error.hpp"
#include "src/arch/decoder.hpp"

namespace ingot::internal {
namespace {

constexpr const char* kPreTokenizer = "tokenizer.ggml.pre";

// Byte-level vocabularies have been made over many ways to cut text into words; older converters
// did not write which.
bool guesses_pre_tokenizer(const GgufFile& file) {
  const GgufValue* model = file.find("tokenizer.ggml.model");
  return model != nullptr && model->try_as<std::string>() == "gpt2" &&
         file.find(kPreTokenizer) == nullptr;
}

bool guesses_epsilon(const GgufFile& file) {
  for (const char* name : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) {
    if (file.find(arch_key(file, name)) != nullptr) return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> file_warnings(const GgufFile& file, const ModelSpec& spec) {
  std::vector<std::string> warnings;
  if (guesses_pre_tokenizer(file)) {
    warnings.push_back(detail::concat(file.path(), " does not name its pre-tokenizer (key ",
                                      kPreTokenizer,
                                      "); the one called 'default' is used, which may cut text "
                                      "into other tokens than in training: "
                                      "convert the model again with a current tool"));
  }
  if (guesses_epsilon(file)) {
    warnings.push_back(detail::concat(file.path(), " does not state the epsilon of its norms (key ",
                                      arch_key(file, "attention.layer_norm_rms_epsilon"), "); ",
                                      spec.norm_epsilon,
                                      " is used: convert the model again with a current tool"));
  }
  return warnings;
}

}  // namespace ingot::internal
