// Text from a model: prompt, sample, step, until something ends it.
//
//   ingot::Session session(executable);
//   ingot::GenerateRequest request{.prompt = "def fibonacci(n):\n", .max_tokens = 64};
//   auto result = ingot::generate(session, request, {.on_text = [](std::string_view text) {
//     std::cout << text << std::flush;
//     return true;
//   }});
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/fim.hpp"
#include "ingot/sampler.hpp"
#include "ingot/session.hpp"

namespace ingot {

enum class FinishReason {
  end_of_generation,  ///< the model drew one of its end tokens, or one of stop_ids
  stop_string,        ///< the text reached a stop string
  length,             ///< max_tokens
  context_full,       ///< the sequence has as many tokens as the session's context
  cancelled,          ///< the stop token, or a callback returned false
};

/// The reason's stable lower-case name, e.g. "stop_string".
INGOT_API std::string_view to_string(FinishReason reason);

struct GenerateRequest {
  std::string prompt = {};    ///< text; encoded with BOS as the file asks
  bool parse_special = true;  ///< in `prompt`, the text of special tokens means those tokens
  std::vector<TokenId> prompt_ids = {};  ///< if not empty: used as they are, instead of `prompt`

  std::optional<std::int64_t> max_tokens = {};  ///< not set: until the context is full
  SamplerOptions sampler = {};                  ///< penalties look back on the prompt as well
  std::vector<std::string> stop = {};     ///< non-empty UTF-8; the text ends before the first one
  std::vector<TokenId> stop_ids = {};     ///< end the text like end-of-generation tokens
  bool ignore_end_of_generation = false;  ///< go on after end tokens (they give no text)

  bool log_probabilities = false;          ///< of each token, in the model's own distribution
  std::int32_t top_log_probabilities = 0;  ///< ... and of so many most probable ones

  /// Generate in this open sequence and leave it open: what it has in common with the prompt is not
  /// computed again, the rest of it is forgotten. Not set: in a new sequence, closed at the end.
  std::optional<SequenceId> sequence = {};
};

/// A generated token, as on_token sees it. Views are valid during the call.
struct GeneratedToken {
  TokenId id = 0;
  std::int64_t index = 0;  ///< 0 for the first
  std::string_view text;   ///< whole characters it completed; may be empty
  const LogProbabilities* log_probabilities = nullptr;  ///< null unless asked for
};

struct GenerateCallbacks {
  /// Text as it becomes certain: whole UTF-8 characters, never part of a stop string. Return false
  /// to cancel.
  std::function<bool(std::string_view)> on_text = {};
  /// Each token, before on_text gets what it completed. Return false to cancel; the token counts.
  std::function<bool(const GeneratedToken&)> on_token = {};
  Progress progress = {};     ///< ("prompt", tokens done, tokens to compute)
  std::stop_token stop = {};  ///< also ends a long prompt, between its parts
};

struct GenerateTimings {
  std::int64_t prompt_tokens = 0;  ///< computed for the prompt
  std::int64_t reused_tokens = 0;  ///< of the prompt, found in the sequence
  double prompt_seconds = 0;
  std::int64_t generated_tokens = 0;
  double generate_seconds = 0;  ///< from the prompt's logits to the end
  std::int64_t steps =
      0;  ///< steps taken meanwhile: the first token comes from the prompt's logits

  double prompt_tokens_per_second() const {
    return prompt_seconds > 0 ? static_cast<double>(prompt_tokens) / prompt_seconds : 0;
  }
  /// Steps per second: what each further token costs.
  double generated_tokens_per_second() const {
    return generate_seconds > 0 ? static_cast<double>(steps) / generate_seconds : 0;
  }
};

struct GenerateResult {
  std::string text;  ///< all that on_text saw
  /// Every token drawn but the end token; with a stop string the last ones may reach beyond `text`.
  std::vector<TokenId> ids;
  FinishReason finish_reason = FinishReason::length;
  std::string stop;                                 ///< the stop string that was reached
  std::vector<LogProbabilities> log_probabilities;  ///< one per id, if asked for
  std::uint64_t seed = 0;                           ///< of the sampler: gives the same text again
  GenerateTimings timings;
};

/// Generates with a sampler of request.sampler's options. Errors: as Session::step and
/// SamplerChain; invalid_argument for a prompt without tokens or longer than the context (the
/// message has both numbers), for negative counts and for stop strings that are empty or not UTF-8.
/// What callbacks throw passes through. A stop request is no error: the result says `cancelled`.
INGOT_API GenerateResult generate(Session& session, const GenerateRequest& request,
                                  const GenerateCallbacks& callbacks = {});

/// The same with the caller's own chain, whose history the prompt and the tokens are added to;
/// request.sampler is not used.
INGOT_API GenerateResult generate(Session& session, const GenerateRequest& request,
                                  SamplerChain& sampler, const GenerateCallbacks& callbacks = {});

}  // namespace ingot
