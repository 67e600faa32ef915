// A model: the mapped file and what its metadata says. Immutable and cheap to share; opening one
// reads the header only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
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
  /// yarn: whether the two ends of the ramp between them are rounded outwards to whole pairs. Not
  /// set: as the architecture's published models have it (gpt-oss's are not rounded).
  std::optional<bool> truncate = {};
};

/// Hyper-parameters that decoder-only transformers share. Sizes are in elements. Where files state
/// a size per layer and layers differ, the size is the largest and the list behind it has them all.
struct ModelSpec {
  std::string architecture;  ///< GGUF's general.architecture, e.g. "qwen2"
  std::string name;          ///< general.name, may be empty
  std::string family;        ///< what people call it, e.g. "Qwen2 or Qwen2.5"
  std::int64_t layer_count = 0;
  std::int64_t hidden_size = 0;
  std::int64_t feed_forward_size = 0;
  std::int64_t head_count = 0;
  std::int64_t kv_head_count = 0;
  std::int64_t key_size = 0;         ///< per head
  std::int64_t value_size = 0;       ///< per head
  std::int64_t vocabulary_size = 0;  ///< rows of the embedding table: ids that a step takes
  std::int64_t logit_count = 0;      ///< rows of the output head: logits that a step gives
  /// Tokens of the file's tokenizer, at most the smaller of the two above (which it is for a file
  /// without one). Ids from here on are padding: no text belongs to them, and they must not be
  /// drawn (Model::token_logits).
  std::int64_t token_count = 0;
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

  /// Per layer; empty where all layers have the same.
  std::vector<std::int64_t> layer_head_counts = {};
  std::vector<std::int64_t> layer_kv_head_counts = {};
  std::vector<std::int64_t> layer_feed_forward_sizes = {};
  std::vector<std::int64_t> layer_expert_feed_forward_sizes = {};

  /// The sizes of a layer, 0 <= layer < layer_count.
  std::int64_t heads_of(std::int64_t layer) const {
    return of_layer(layer_head_counts, head_count, layer);
  }
  std::int64_t kv_heads_of(std::int64_t layer) const {
    return of_layer(layer_kv_head_counts, kv_head_count, layer);
  }
  std::int64_t feed_forward_of(std::int64_t layer) const {
    return of_layer(layer_feed_forward_sizes, feed_forward_size, layer);
  }
  std::int64_t expert_feed_forward_of(std::int64_t layer) const {
    return of_layer(layer_expert_feed_forward_sizes, expert_feed_forward_size, layer);
  }

 private:
  static std::int64_t of_layer(const std::vector<std::int64_t>& sizes, std::int64_t all,
                               std::int64_t layer) {
    return sizes.empty() ? all : sizes[static_cast<std::size_t>(layer)];
  }
};

/// What a caller may decide about a model before its program is written. Values without meaning are
/// Error invalid_argument, by name, wherever the options are used.
struct RunOptions {
  std::int64_t context = 0;         ///< positions; 0: the model's own
  std::optional<double> rope_base;  ///< finite, above 1
  /// Instead of the file's own, e.g. YaRN for Qwen2.5 beyond its 32,768 positions: {.kind = yarn,
  /// .factor = 4, .original_context = 32768}. Finite numbers; factor at least 1, attention_factor
  /// and betas above 0, beta_fast at least beta_slow; yarn and longrope need original_context.
  std::optional<RopeScaling> rope_scaling;
};

class INGOT_API Model {
 public:
  /// Maps the file (all its splits), unless the options ask for a copy in memory, and reads its
  /// metadata. Error io, bad_file, out_of_memory (the copy does not fit), or unsupported when
  /// the architecture is not one of architectures(); invalid_argument for a null file.
  static std::shared_ptr<const Model> open(const std::filesystem::path& path,
                                           const OpenOptions& options = {});
  static std::shared_ptr<const Model> from_file(std::shared_ptr<const GgufFile> file);
  ~Model();

  const ModelSpec& spec() const { return spec_; }
  const GgufFile& file() const { return *file_; }
  std::shared_ptr<const GgufFile> shared_file() const { return file_; }

  /// The file's tokenizer, built on first use. Error bad_file or unsupported if it has none we
  /// know.
  std::shared_ptr<const Tokenizer> tokenizer() const;

  /// What this library had to guess about the file, or found odd in it, one sentence each; empty
  /// for most files. A file without tokenizer.ggml.pre, for instance, says nothing of how its
  /// tokenizer cuts text into words.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The part of a row of logits that stands for tokens. Embedding and head may have more rows than
  /// the tokenizer has tokens; draw from this part, and no id without a text can be drawn.
  std::span<const float> token_logits(std::span<const float> row) const {
    return row.first(std::min(row.size(), static_cast<std::size_t>(spec_.token_count)));
  }

  /// The program that computes this model's logits, as text (`ingot inspect --program`). With the
  /// name of a device also which instructions it runs as one; Error unsupported names what it
  /// cannot run.
  std::string program_text(const RunOptions& options = {}, std::string_view device = {}) const;

 private:
  explicit Model(std::shared_ptr<const GgufFile> file);
  struct INGOT_HIDDEN LazyTokenizer;

  std::shared_ptr<const GgufFile> file_;
  ModelSpec spec_;
  std::vector<std::string> warnings_;
  std::unique_ptr<LazyTokenizer> tokenizer_;
};

/// Names of the architectures this build can run.
INGOT_API std::vector<std::string> architectures();

}  // namespace ingot
