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
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/cancel.hpp"
#include "ingot/device.hpp"
#include "ingot/export.hpp"
#include "ingot/model.hpp"
#include "ingot/outputs.hpp"
#include "ingot/tokenizer.hpp"

namespace ingot {

/// The context a session gets when nobody asked for one, unless the model's is smaller or memory
/// less.
inline constexpr std::int64_t kDefaultContext = 8192;

struct LoadOptions {
  std::string device = "cpu";
  RunOptions run;    ///< run.context 0: the smaller of the model's, kDefaultContext and what fits
  CacheTypes cache;  ///< types of the KV cache: f32, f16, bf16, q8_0, q4_0
  std::int64_t max_sequences = 1;      ///< sequences a session can hold at once
  std::int64_t max_step_tokens = 512;  ///< rows computed together; longer steps are split
  /// Cache positions that all sequences of a session share; 0: so many that each can have the whole
  /// context. With fewer, a step that finds no free page fails (Session::free_positions tells).
  std::int64_t cache_positions = 0;
  std::uint64_t memory_limit = 0;  ///< bytes this model may take; 0: what the device has available
  /// False: nothing of the executable stays in a mapped file (OpenOptions::map says why one may
  /// want that). A model that is mapped is read once more, into memory; Executable::model() is that
  /// copy.
  bool map = true;
  /// A token gets the same bits whatever else is in its step, however its prompt is cut into steps,
  /// whether what is before it was computed, forked or restored, and for any number of threads.
  /// docs/numerics.md says what it costs.
  bool deterministic = false;
  CompileOptions compile;
};

/// What a model will take, exactly, before anything is allocated.
struct MemoryPlan {
  std::string device;
  CacheTypes cache;
  std::int64_t context = 0;        ///< positions per sequence
  std::int64_t model_context = 0;  ///< positions the model was made for
  std::int64_t max_sequences = 1;
  std::int64_t cache_positions = 0;  ///< that all sequences of a session share
  std::int64_t largest_context =
      0;  ///< the longest context that fits with these options; 0: none does
  std::uint64_t weights_bytes = 0;
  /// Cache bytes of a position in the layers that keep every position; 0 if all have a window.
  std::uint64_t cache_bytes_per_token = 0;
  /// Cache bytes of a sequence in the layers with a window, however long it gets.
  std::uint64_t window_bytes = 0;
  std::uint64_t cache_bytes = 0;  ///< of all sequences, windows included
  std::uint64_t scratch_bytes = 0;
  /// Of the file itself, held in memory because it is not mapped (with a device that has memory of
  /// its own: in host_bytes). Weights used where they lie there are counted again in weights_bytes.
  std::uint64_t file_bytes = 0;
  /// What may be taken: LoadOptions::memory_limit, or what the device has; nothing if it cannot be
  /// known, and then everything fits that can be counted.
  std::optional<std::uint64_t> available_bytes;
  /// What a device with memory of its own takes of the host's beside: staging, results, copies.
  std::uint64_t host_bytes = 0;
  std::optional<std::uint64_t> host_available_bytes;
  /// cache_bytes_per_token for each type, keys and values alike.
  std::vector<std::pair<DType, std::uint64_t>> cache_alternatives;
  /// largest_context for each of them.
  std::vector<std::pair<DType, std::int64_t>> context_alternatives;

  /// In the device's memory. The sum and its parts are the largest number where 64 bits do not hold
  /// them; that never fits.
  INGOT_API std::uint64_t total_bytes() const;
  INGOT_API bool fits() const;
  /// The plan in words: one line per part, and what would fit if it does not.
  INGOT_API std::string to_string() const;
};

/// Computes the plan. Never allocates; Error unsupported names what the device cannot run.
INGOT_API MemoryPlan plan_memory(const Model& model, const LoadOptions& options);

/// A model packed for a device: immutable, thread-safe, shared by any number of sessions.
class INGOT_API Executable {
 public:
  /// Plans, refuses with Error out_of_memory (the message has the plan) if it does not fit, packs.
  /// Error invalid_argument for a null model.
  static std::shared_ptr<const Executable> load(std::shared_ptr<const Model> model,
                                                const LoadOptions& options);
  ~Executable();

  const std::shared_ptr<const Model>& model() const;
  const MemoryPlan& plan() const;
  const PackReport& pack_report() const;
  const DeviceInfo& device() const;
  /// The model's warnings, and what is odd about the options it was loaded with (more threads than
  /// processors, say), one sentence each.
  const std::vector<std::string>& warnings() const;

  struct INGOT_HIDDEN Impl;  ///< opaque; for the library's own files
  const Impl& internals() const { return *impl_; }

 private:
  friend class Session;
  explicit Executable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Names a sequence of a session; no other session takes it for one of its own.
struct SequenceId {
  std::int32_t value = -1;
  std::uint32_t session = 0;  ///< the session's number in this process
  bool operator==(const SequenceId&) const = default;
};

/// One sequence's share of a step: `tokens` are appended to it, and `outputs` are computed.
struct StepRequest {
  SequenceId sequence;
  std::span<const TokenId> tokens;
  Outputs outputs = {};
};

struct StepOptions {
  /// Looked at while the step runs; ends it in Error cancelled within 100 ms. What was finished of
  /// a prompt stays: Session::position says how much, and a retry computes the rest.
  Cancel cancel = Cancel::never();
  Progress progress = {};  ///< ("prompt", tokens done, tokens total)
};

/// States of running sequences. Not thread-safe: one thread uses a session at a time. Sessions of
/// one executable may be used from several threads; their steps take turns.
class INGOT_API Session {
 public:
  /// Error out_of_memory when the cache cannot be reserved, invalid_argument for a null executable.
  /// A session that was moved from can be assigned to and destroyed; all else is an Error
  /// invalid_argument.
  explicit Session(std::shared_ptr<const Executable> executable);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Executable& executable() const;
  std::int64_t context() const;

  /// Cache positions that can still be appended, to one sequence or to several, page by page of 64.
  std::int64_t free_positions() const;

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

  /// Appends each request's tokens to its sequence and computes the outputs asked for. All or
  /// nothing: after an Error every sequence is where it was, but for Error cancelled (StepOptions).
  /// Error invalid_argument for ids outside the vocabulary, unknown or repeated sequences, and for
  /// a step beyond the context; out_of_memory when the sequences' shared positions do not suffice.
  StepResult step(std::span<const StepRequest> requests, const StepOptions& options = {});
  StepResult step(std::initializer_list<StepRequest> requests, const StepOptions& options = {});
  /// The same into a result that is used again and again: no memory is taken once it is large
  /// enough. After an Error it is empty.
  void step(std::span<const StepRequest> requests, StepResult& result,
            const StepOptions& options = {});

  /// Writes the sequence (ids and cache) to a file; atomically. Error invalid_argument when the
  /// file is one of the model's own.
  void save(SequenceId sequence, const std::filesystem::path& path) const;
  /// Opens a sequence from a saved file. Error bad_file when it is not one, was damaged, has ids
  /// that the model has not, or was saved from another model or with other cache types.
  SequenceId restore(const std::filesystem::path& path);

  /// Sees every value of every following step, or what the options say; an empty function ends it.
  /// Error invalid_argument for a name that is no value of the program.
  void set_tap(Tap tap, const TapOptions& options = {});

  struct INGOT_HIDDEN Impl;  ///< opaque; for the library's own files

 private:
  detail::Inside<Impl> impl_;
};

}  // namespace ingot
