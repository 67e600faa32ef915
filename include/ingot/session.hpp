// Running a model: plan what it needs, load it onto a device, step sequences through it.
//
//   auto model = ingot::Model::open("model.gguf");
//   auto executable = ingot::Executable::load(model, {});
//   ingot::Session session(executable);
//   auto sequence = session.open();
//   auto result = session.step({{sequence, tokens}});   // logits of the last token
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "ingot/device.hpp"
#include "ingot/export.hpp"
#include "ingot/model.hpp"
#include "ingot/tokenizer.hpp"

namespace ingot {

/// The context a session gets when nobody asked for one, unless the model's is smaller or memory
/// less.
inline constexpr std::int64_t kDefaultContext = 8192;

struct LoadOptions {
  std::string device = "cpu";
  RunOptions run;    ///< run.context 0: the smaller of the model's, kDefaultContext and what fits
  StateTypes cache;  ///< types of the KV cache: f32, f16, bf16, q8_0, q4_0
  std::int64_t max_sequences = 1;  ///< sequences a session can hold at once
  std::int64_t step_tokens = 512;  ///< rows computed together; longer steps are split
  std::uint64_t memory_limit = 0;  ///< bytes this model may take; 0: what the device has available
  CompileOptions compile;
};

/// What a model will take, exactly, before anything is allocated.
struct MemoryPlan {
  std::string device;
  StateTypes cache;
  std::int64_t context = 0;        ///< positions per sequence
  std::int64_t model_context = 0;  ///< positions the model was made for
  std::int64_t max_sequences = 1;
  std::int64_t largest_context =
      0;  ///< the longest context that fits with these options; 0: none does
  std::uint64_t weights_bytes = 0;
  /// Cache bytes of a position in the layers that keep every position; 0 if all have a window.
  std::uint64_t cache_bytes_per_token = 0;
  /// Cache bytes of a sequence in the layers with a window, however long it gets.
  std::uint64_t window_bytes = 0;
  std::uint64_t cache_bytes = 0;  ///< of all sequences, windows included
  std::uint64_t scratch_bytes = 0;
  std::uint64_t available_bytes = 0;
  /// cache_bytes_per_token for each type, keys and values alike.
  std::vector<std::pair<DType, std::uint64_t>> cache_alternatives;
  /// largest_context for each of them.
  std::vector<std::pair<DType, std::int64_t>> context_alternatives;

  std::uint64_t total_bytes() const { return weights_bytes + cache_bytes + scratch_bytes; }
  bool fits() const { return total_bytes() <= available_bytes; }
  /// The plan in words: one line per part, and what would fit if it does not.
  INGOT_API std::string to_string() const;
};

/// Computes the plan. Never allocates; Error unsupported names what the device cannot run.
INGOT_API MemoryPlan plan_memory(const Model& model, const LoadOptions& options);

/// A model packed for a device: immutable, shared by any number of sessions.
class INGOT_API Executable {
 public:
  /// Plans, refuses with Error out_of_memory (the message has the plan) if it does not fit, packs.
  static std::shared_ptr<const Executable> load(std::shared_ptr<const Model> model,
                                                const LoadOptions& options);
  ~Executable();

  const std::shared_ptr<const Model>& model() const;
  const MemoryPlan& plan() const;
  const PackReport& pack_report() const;
  const DeviceInfo& device() const;

  struct INGOT_HIDDEN Impl;  ///< opaque; for the library's own files
  const Impl& internals() const { return *impl_; }

 private:
  friend class Session;
  explicit Executable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Names a sequence inside one session.
struct SequenceId {
  std::int32_t value = -1;
  bool operator==(const SequenceId&) const = default;
};

/// Which tokens of a request want logits.
enum class Logits { none, last, all };

/// One sequence's share of a step: `tokens` are appended to it.
struct StepRequest {
  SequenceId sequence;
  std::span<const TokenId> tokens;
  Logits logits = Logits::last;
  std::vector<std::int32_t> rows = {};  ///< if not empty: exactly these tokens (indices, ascending)
};

struct StepResult {
  std::int64_t vocabulary_size = 0;
  std::vector<float> logits;            ///< [rows, vocabulary], requests in order
  std::vector<std::int64_t> first_row;  ///< per request: its first row in `logits`

  std::int64_t rows() const {
    return vocabulary_size == 0 ? 0 : static_cast<std::int64_t>(logits.size()) / vocabulary_size;
  }
  std::span<const float> row(std::int64_t index) const {
    return std::span<const float>(logits).subspan(static_cast<std::size_t>(index * vocabulary_size),
                                                  static_cast<std::size_t>(vocabulary_size));
  }
};

struct StepOptions {
  std::stop_token stop =
      {};                  ///< checked between the parts of a split step; ends in Error cancelled
  Progress progress = {};  ///< ("prompt", tokens done, tokens total)
};

/// States of running sequences. Not thread-safe: one thread uses a session at a time; several
/// sessions of one executable may be used from several threads.
class INGOT_API Session {
 public:
  /// Error out_of_memory when the cache cannot be reserved.
  explicit Session(std::shared_ptr<const Executable> executable);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Executable& executable() const;
  std::int64_t context() const;

  /// A new empty sequence. Error invalid_argument when max_sequences are open.
  SequenceId open();
  /// A new sequence that starts as a copy; the pages are shared until one of the two writes.
  SequenceId fork(SequenceId sequence);
  void close(SequenceId sequence);

  /// Positions stored, and the ids they came from.
  std::int64_t position(SequenceId sequence) const;
  std::span<const TokenId> tokens(SequenceId sequence) const;

  /// Forgets everything from position `to` on. Returns the position actually restored: `to`, or 0
  /// when a layer with a window has given back what the position sees; a rewind by at most 64
  /// positions behind the last one computed is always possible.
  std::int64_t rewind(SequenceId sequence, std::int64_t to);

  /// Appends each request's tokens to its sequence and computes the logits asked for. All or
  /// nothing: after an Error every sequence is where it was. Error invalid_argument for ids outside
  /// the vocabulary, unknown or repeated sequences, and for a step beyond the context.
  StepResult step(std::span<const StepRequest> requests, const StepOptions& options = {});
  StepResult step(std::initializer_list<StepRequest> requests, const StepOptions& options = {});

  /// Writes the sequence (ids and cache) to a file; atomically.
  void save(SequenceId sequence, const std::filesystem::path& path) const;
  /// Opens a sequence from a saved file. Error bad_file when it is not one, or was saved from
  /// another model or with other cache types.
  SequenceId restore(const std::filesystem::path& path);

  /// Sees every value of every following step, or what `detail` says; an empty function ends it.
  void set_tap(Tap tap, TapDetail detail = TapDetail::every_value);

  struct INGOT_HIDDEN Impl;  ///< opaque; for the library's own files

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot
