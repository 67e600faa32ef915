#include "ingot/model.hpp"

#include <mutex>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/tokenizer.hpp"
#include "src/arch/architecture.hpp"
#include "src/device/registry.hpp"
#include "src/session/file_warnings.hpp"

namespace ingot {

using namespace internal;

struct Model::LazyTokenizer {
  std::mutex mutex;
  std::shared_ptr<const Tokenizer> tokenizer;
};

Model::Model(std::shared_ptr<const GgufFile> file)
    : file_(std::move(file)),
      spec_(find_architecture(*file_).read_spec(*file_)),
      tokenizer_(std::make_unique<LazyTokenizer>()) {
  spec_.family = find_architecture(*file_).family;
  warnings_ = file_warnings(*file_, spec_);
}

Model::~Model() = default;

std::shared_ptr<const Model> Model::open(const std::filesystem::path& path,
                                         const OpenOptions& options) {
  return from_file(GgufFile::open(path, options));
}

std::shared_ptr<const Model> Model::from_file(std::shared_ptr<const GgufFile> file) try {
  return std::shared_ptr<const Model>(
      new Model(detail::required(std::move(file), "Model::from_file", "a file")));
} catch (...) {
  detail::rethrow_at_border("Model::from_file");
}

std::shared_ptr<const Tokenizer> Model::tokenizer() const try {
  const std::lock_guard lock(tokenizer_->mutex);
  if (!tokenizer_->tokenizer) tokenizer_->tokenizer = Tokenizer::from_gguf(file_);
  return tokenizer_->tokenizer;
} catch (...) {
  detail::rethrow_at_border("Model::tokenizer");
}

std::string Model::program_text(const RunOptions& options, std::string_view device) const try {
  const Program program = build_program(spec_, *file_, options);
  if (device.empty()) return to_string(program);
  const Device& runs_on = find_device(device);
  require_support(runs_on, program);
  const auto shared = std::make_shared<const Program>(program);
  const std::vector<Range> fused = runs_on.lower(shared, all_instructions(program), {})->fused();
  auto parts = static_cast<std::int64_t>(program.instructions.size());
  for (const Range& group : fused) parts -= group.size() - 1;
  return to_string(program, fused) + "device " + std::string(device) + ": " +
         std::to_string(program.instructions.size()) + " instructions run as " +
         std::to_string(parts) + '\n';
} catch (...) {
  detail::rethrow_at_border("Model::program_text");
}

}  // namespace ingot
