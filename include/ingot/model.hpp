// A model: the mapped file and what its metadata says. Immutable and cheap to share; opening one
// reads the header only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/gguf.hpp"

namespace ingot {

class Tokenizer;

/// How positions beyond the trained ones are mapped to angles.
struct RopeScaling {
  /// longrope: a divisor per pair of columns, which the file carries (Ding et al. 2024).
  enum class Kind { none, linear, yarn, longrope };
  Kind kind = Kind::none;
  double factor = 1.0;                ///< how many times the context was stretched
  std::int64_t original_context = 0;  ///< context before stretching; yarn and longrope
  double attention_factor = 1.0;      ///< yarn: multiplies YaRN's own magnitude; longrope: is it
  double beta_fast =
      32.0;  ///< yarn: turns within the original context above which pairs keep their angle
  double beta_slow = 1.0;  ///< yarn: ... below which pairs are fully interpolated
};

/// Hyper-parameters that decoder-only transformers share. Sizes are in elements.
struct ModelSpec {
  std::string architecture;  ///< GGUF's general.architecture, e.g. "qwen2"
  std::string name;          ///< general.name, may be empty
  std::string family;        ///< what people call it, e.g. "Qwen2 or Qwen2.5"
  std::int64_t layer_count = 0;
  std::int64_t hidden_size = 0;
  std::int64_t feed_forward_size = 0;
  std::int64_t head_count = 0;
  std::int64_t kv_head_count = 0;
  std::int64_t key_size = 0;    ///< per head
  std::int64_t value_size = 0;  ///< per head
  std::int64_t vocabulary_size = 0;
  std::int64_t context_length = 0;  ///< positions the file claims
  double norm_epsilon = 1e-5;
  double rope_base = 10000.0;
  std::int64_t rotary_size = 0;  ///< columns of a head that turn
  RopeScaling rope_scaling;
  std::int64_t expert_count = 0;              ///< per layer; 0: no experts
  std::int64_t expert_used_count = 0;         ///< experts a token uses
  std::int64_t expert_feed_forward_size = 0;  ///< of one expert
  std::uint64_t parameter_count = 0;
  std::uint64_t active_parameter_count = 0;  ///< without the experts that a token does not use
};

/// What a caller may decide about a model before its program is written.
struct RunOptions {
  std::int64_t context = 0;  ///< positions; 0: the model's own
  std::optional<double> rope_base;
  std::optional<RopeScaling> rope_scaling;  ///< e.g. YaRN opt-in for Qwen2.5 at 128k
};

class INGOT_API Model {
 public:
  /// Maps the file (all its splits) and reads its metadata. Error io, bad_file, or unsupported when
  /// the architecture is not one of architectures().
  static std::shared_ptr<const Model> open(const std::filesystem::path& path);
  static std::shared_ptr<const Model> from_file(std::shared_ptr<const GgufFile> file);
  ~Model();

  const ModelSpec& spec() const { return spec_; }
  const GgufFile& file() const { return *file_; }
  std::shared_ptr<const GgufFile> shared_file() const { return file_; }

  /// The file's tokenizer, built on first use. Error bad_file or unsupported if it has none we
  /// know.
  std::shared_ptr<const Tokenizer> tokenizer() const;

  /// The program that computes this model's logits, as text (`ingot inspect --program`). With the
  /// name of a device also which instructions it runs as one; Error unsupported names what it
  /// cannot run.
  std::string program_text(const RunOptions& options = {}, std::string_view device = {}) const;

 private:
  explicit Model(std::shared_ptr<const GgufFile> file);
  struct INGOT_HIDDEN LazyTokenizer;

  std::shared_ptr<const GgufFile> file_;
  ModelSpec spec_;
  std::unique_ptr<LazyTokenizer> tokenizer_;
};

/// Names of the architectures this build can run.
INGOT_API std::vector<std::string> architectures();

}  // namespace ingot
