// Text from a model in one call: prompt, sample, step, until something ends it.
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
#include <string_view>

#include "ingot/export.hpp"
#include "ingot/fim.hpp"
#include "ingot/generation.hpp"

namespace ingot {

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
  Progress progress = {};           ///< ("prompt", tokens done, tokens to compute)
  Cancel cancel = Cancel::never();  ///< also ends a step that runs
};

/// Generates with a sampler of request.sampler's options. A prompt is computed in parts, and those
/// that were finished stay in the sequence when it is cancelled. Errors: as Generation and
/// Session::step. What callbacks throw passes through. A cancel is no error: the result says
/// `cancelled`.
INGOT_API GenerateResult generate(Session& session, const GenerateRequest& request,
                                  const GenerateCallbacks& callbacks = {});

/// The same with the caller's own chain, whose history the prompt and the tokens are added to;
/// request.sampler is not used.
INGOT_API GenerateResult generate(Session& session, const GenerateRequest& request,
                                  SamplerChain& sampler, const GenerateCallbacks& callbacks = {});

}  // namespace ingot
