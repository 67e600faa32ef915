#include "ingot/model.hpp"

#include <mutex>

#include "ingot/tokenizer.hpp"
#include "src/arch/architecture.hpp"

namespace ingot {

struct Model::LazyTokenizer {
  std::mutex mutex;
  std::shared_ptr<const Tokenizer> tokenizer;
};

Model::Model(std::shared_ptr<const GgufFile> file)
    : file_(std::move(file)),
      spec_(find_architecture(*file_).read_spec(*file_)),
      tokenizer_(std::make_unique<LazyTokenizer>()) {
  spec_.family = find_architecture(*file_).family;
}

Model::~Model() = default;

std::shared_ptr<const Model> Model::open(const std::filesystem::path& path) {
  return from_file(GgufFile::open(path));
}

std::shared_ptr<const Model> Model::from_file(std::shared_ptr<const GgufFile> file) {
  return std::shared_ptr<const Model>(new Model(std::move(file)));
}

std::shared_ptr<const Tokenizer> Model::tokenizer() const {
  const std::lock_guard lock(tokenizer_->mutex);
  if (!tokenizer_->tokenizer) tokenizer_->tokenizer = Tokenizer::from_gguf(file_);
  return tokenizer_->tokenizer;
}

std::string Model::program_text(const RunOptions& options) const {
  return to_string(build_program(spec_, *file_, options));
}

}  // namespace ingot
