// Generation step by step: for schedulers, iterators and anyone who wants to hold the reins.
//
//   ingot::Generation a(session, {.prompt = "def add(a, b):\n"});
//   ingot::Generation b(session, {.prompt = "class Stack:\n"});
//   while (!a.finished() || !b.finished()) {
//     ingot::advance(session, {&a, &b});          // one step for both
//     while (auto event = a.poll()) ...           // tokens, text, the end
//   }
//
// A generation says which tokens it wants computed and with which outputs (next), and takes what a
// step made of them (take). advance() does that for any number of them in one step; generate()
// (ingot/generate.hpp) is a loop over it.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/export.hpp"
#include "ingot/sampler.hpp"
#include "ingot/session.hpp"

namespace ingot {

enum class FinishReason {
  end_of_generation,  ///< the model drew one of its end tokens, or one of stop_ids
  stop_string,        ///< the text reached a stop string
  length,             ///< max_tokens
  context_full,       ///< the sequence has as many tokens as the session's context
  cancelled,  ///< asked for: Generation::cancel, a Cancel, or a callback that returned false
};

/// The reason's stable lower-case name, e.g. "stop_string".
INGOT_API std::string_view to_string(FinishReason reason);

/// Sees a row of logits (of the ids that have a token), which it may write, and the ids of the
/// sequence so far, prompt included, before the sampler does. -infinity bans a token. Grammars,
/// bans and watermarks hook in here. What it throws ends its generation (cancelled) and reaches who
/// called take or advance.
using LogitsProcessor = std::function<void(std::span<float> logits, std::span<const TokenId> ids)>;

struct GenerateRequest {
  std::string prompt = {};    ///< text; encoded with BOS as the file asks
  bool parse_special = true;  ///< in `prompt`, the text of special tokens means those tokens
  std::vector<TokenId> prompt_ids = {};  ///< if not empty: used as they are, instead of `prompt`

  std::optional<std::int64_t> max_tokens = {};   ///< not set: until the context is full
  SamplerOptions sampler = {};                   ///< penalties look back on the prompt as well
  std::vector<LogitsProcessor> processors = {};  ///< called in this order before the sampler
  std::vector<std::string> stop = {};     ///< non-empty UTF-8; the text ends before the first one
  std::vector<TokenId> stop_ids = {};     ///< end the text like end-of-generation tokens
  bool ignore_end_of_generation = false;  ///< go on after end tokens (they give no text)

  bool log_probabilities = false;          ///< of each token, in the model's own distribution
  std::int32_t top_log_probabilities = 0;  ///< ... and of so many most probable ones

  /// Generate in this open sequence and leave it open: what it has in common with the prompt is not
  /// computed again, the rest of it is forgotten. Not set: in a new sequence, closed at the end.
  std::optional<SequenceId> sequence = {};
};

struct GenerateTimings {
  std::int64_t prompt_tokens = 0;  ///< computed for the prompt
  std::int64_t reused_tokens = 0;  ///< of the prompt, found in the sequence
  double prompt_seconds = 0;
  std::int64_t generated_tokens = 0;
  double generate_seconds = 0;  ///< from the prompt's outputs to the end
  std::int64_t steps =
      0;  ///< steps taken meanwhile: the first token comes from the prompt's outputs

  double prompt_tokens_per_second() const {
    return prompt_seconds > 0 ? static_cast<double>(prompt_tokens) / prompt_seconds : 0;
  }
  /// Steps per second: what each further token costs.
  double generated_tokens_per_second() const {
    return generate_seconds > 0 ? static_cast<double>(steps) / generate_seconds : 0;
  }
};

struct GenerateResult {
  std::string text;  ///< all text that became certain
  /// Every token drawn but the end token; with a stop string the last ones may reach beyond `text`.
  std::vector<TokenId> ids;
  FinishReason finish_reason = FinishReason::length;
  std::string stop;                                 ///< the stop string that was reached
  std::vector<LogProbabilities> log_probabilities;  ///< one per id, if asked for
  std::uint64_t seed = 0;                           ///< of the sampler: gives the same text again
  std::vector<std::string> warnings;  ///< what is odd about the request, one sentence each
  GenerateTimings timings;
};

/// Something that happened in a generation.
struct GenerationEvent {
  enum class Kind : std::uint8_t {
    token,     ///< a token was drawn: id, index, text, log_probabilities
    text,      ///< text became certain: whole UTF-8 characters, never part of a stop string
    finished,  ///< the last event: reason
  };
  Kind kind = Kind::token;
  TokenId id = 0;
  std::int64_t index = 0;  ///< of a token: 0 for the first
  std::string text = {};   ///< of a token: whole characters it completed; may be empty
  std::optional<LogProbabilities> log_probabilities = {};
  FinishReason reason = FinishReason::length;
};

/// One text on its way. Not thread-safe: used by the thread that uses its session. The session must
/// outlive it.
class INGOT_API Generation {
 public:
  /// Encodes the prompt and opens (or takes) the sequence; computes nothing. Errors: as
  /// Session::open and SamplerChain; invalid_argument for a prompt without tokens or longer than
  /// the context (the message has both numbers), for negative counts and for stop strings that are
  /// empty or not UTF-8.
  Generation(Session& session, GenerateRequest request);
  /// With the caller's own chain, which must outlive this and whose history the prompt and the
  /// tokens are added to; request.sampler is not used.
  Generation(Session& session, GenerateRequest request, SamplerChain& sampler);
  ~Generation();
  Generation(Generation&&) noexcept;
  Generation& operator=(Generation&&) noexcept;

  bool finished() const;

  /// What a step should compute next: of a prompt at most `max_tokens` (0: all that is left), then
  /// the token drawn last. Valid until take(). After a step that was cancelled, what it did not
  /// commit, and the last token once more if its outputs were lost. Error invalid_argument when
  /// finished.
  StepRequest next(std::int64_t max_tokens = 0);

  /// Takes what a step made of next(), which was its request number `request`: draws a token if the
  /// prompt is done. Errors: as SamplerChain::sample, and what processors throw.
  void take(const StepResult& result, std::size_t request = 0);

  /// Ends it here, with FinishReason::cancelled; nothing if it is finished.
  void cancel();

  /// The oldest event that nobody has seen; none if there is none.
  std::optional<GenerationEvent> poll();

  /// Tokens of the prompt: all, and those computed or found in the sequence.
  std::int64_t prompt_tokens() const;
  std::int64_t prompt_tokens_done() const;

  /// The sequence it works in; closed when finished, unless the request gave it.
  SequenceId sequence() const;

  /// What there is so far; final when finished.
  const GenerateResult& result() const;

 private:
  struct INGOT_HIDDEN Impl;
  INGOT_HIDDEN Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

/// One step for all of these that are not finished; returns how many take part. Each is given at
/// most `max_prompt_tokens` of its prompt (0: all). Errors as Session::step, which leave the
/// generations as they were, but for Error cancelled (parts of prompts stay); call it again to go
/// on. What processors throw comes after all others have taken their share: it ends its own text.
INGOT_API std::size_t advance(Session& session, std::span<Generation* const> generations,
                              const StepOptions& options = {}, std::int64_t max_prompt_tokens = 0);
INGOT_API std::size_t advance(Session& session, std::initializer_list<Generation*> generations,
                              const StepOptions& options = {}, std::int64_t max_prompt_tokens = 0);

}  // namespace ingot
