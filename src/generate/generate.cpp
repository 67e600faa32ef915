// generate(): a loop over a Generation that tells the callbacks.
#include "ingot/generate.hpp"

#include "ingot/border.hpp"
#include "ingot/error.hpp"

namespace ingot {

namespace {

// False if a callback cancels.
bool tell(const GenerationEvent& event, const GenerateCallbacks& callbacks) {
  switch (event.kind) {
    case GenerationEvent::Kind::token: {
      GeneratedToken token;
      token.id = event.id;
      token.index = event.index;
      token.text = event.text;
      token.log_probabilities = event.log_probabilities ? &*event.log_probabilities : nullptr;
      return !callbacks.on_token || callbacks.on_token(token);
    }
    case GenerationEvent::Kind::text: return !callbacks.on_text || callbacks.on_text(event.text);
    case GenerationEvent::Kind::finished: break;
  }
  return true;
}

// False if a callback cancels; all events are told.
bool tell_all(Generation& generation, const GenerateCallbacks& callbacks) {
  bool go_on = true;
  while (const auto event = generation.poll()) go_on = tell(*event, callbacks) && go_on;
  return go_on;
}

// False if it was cancelled.
bool step(Session& session, Generation& generation, StepResult& result,
          const GenerateCallbacks& callbacks) {
  if (callbacks.cancel.requested()) return false;
  const bool is_prompt = generation.result().ids.empty();
  try {
    const StepRequest request = generation.next();
    session.step(
        std::span(&request, 1), result,
        {.cancel = callbacks.cancel, .progress = is_prompt ? callbacks.progress : Progress()});
  } catch (const Error& error) {
    // Only an end that was asked for here is an ordinary one.
    if (error.code() == ErrorCode::cancelled && callbacks.cancel.requested()) return false;
    throw;
  }
  generation.take(result);
  return true;
}

GenerateResult run(Session& session, Generation generation, const GenerateCallbacks& callbacks) {
  StepResult result;
  while (!generation.finished()) {
    if (!step(session, generation, result, callbacks) || !tell_all(generation, callbacks)) {
      generation.cancel();
    }
  }
  tell_all(generation, callbacks);
  return generation.result();
}

}  // namespace

GenerateResult generate(Session& session, const GenerateRequest& request,
                        const GenerateCallbacks& callbacks) try {
  return run(session, Generation(session, request), callbacks);
} catch (...) {
  detail::rethrow_at_border("generate");
}

GenerateResult generate(Session& session, const GenerateRequest& request, SamplerChain& sampler,
                        const GenerateCallbacks& callbacks) try {
  return run(session, Generation(session, request, sampler), callbacks);
} catch (...) {
  detail::rethrow_at_border("generate");
}

}  // namespace ingot
