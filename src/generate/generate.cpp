#include "ingot/generate.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "ingot/error.hpp"
#include "src/generate/stop_matcher.hpp"

namespace ingot {

using namespace internal;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The sequence to generate in; a new one is closed at the end, also when something throws.
class SequenceUse {
 public:
  SequenceUse(Session& session, std::optional<SequenceId> given)
      : session_(session), id_(given ? *given : session.open()), owned_(!given) {}
  ~SequenceUse() {
    if (owned_) session_.close(id_);
  }
  SequenceUse(const SequenceUse&) = delete;
  SequenceUse& operator=(const SequenceUse&) = delete;

  SequenceId id() const { return id_; }

 private:
  Session& session_;
  SequenceId id_;
  bool owned_;
};

std::vector<TokenId> prompt_tokens(const Tokenizer& tokenizer, const GenerateRequest& request,
                                   std::int64_t context) {
  std::vector<TokenId> ids = request.prompt_ids;
  if (ids.empty()) {
    ids = tokenizer.encode(request.prompt,
                           {.add_special = true, .parse_special = request.parse_special});
    // A file that asks for EOS behind a text means whole texts, not ones to go on with.
    if (tokenizer.adds_eos() && !ids.empty() && ids.back() == tokenizer.eos()) ids.pop_back();
  }
  if (ids.empty()) {
    fail(ErrorCode::invalid_argument,
         "generate: the prompt has no tokens, and this model begins with none of its own; give "
         "some text");
  }
  if (static_cast<std::int64_t>(ids.size()) > context) {
    fail(ErrorCode::invalid_argument, "generate: the prompt has ", ids.size(),
         " tokens and the context ", context, "; shorten the prompt or load with a larger context");
  }
  return ids;
}

void check(const GenerateRequest& request) {
  if (request.max_tokens && *request.max_tokens < 0) {
    fail(ErrorCode::invalid_argument, "generate: max_tokens is ", *request.max_tokens,
         "; it must be 0 or more");
  }
  if (request.top_log_probabilities < 0) {
    fail(ErrorCode::invalid_argument, "generate: top_log_probabilities is ",
         request.top_log_probabilities, "; it must be 0 or more");
  }
}

/// One run of generate().
class Generation {
 public:
  Generation(Session& session, const GenerateRequest& request, SamplerChain& sampler,
             const GenerateCallbacks& callbacks)
      : session_(session),
        request_(request),
        sampler_(sampler),
        callbacks_(callbacks),
        tokenizer_(session.executable().model()->tokenizer()),
        text_(tokenizer_),
        stops_(request.stop) {
    check(request);
    prompt_ = prompt_tokens(*tokenizer_, request, session.context());
    result_.seed = sampler.seed();
  }

  GenerateResult run() {
    const SequenceUse sequence(session_, request_.sequence);
    sampler_.accept(prompt_);
    StepResult logits;
    if (step_prompt(sequence.id(), logits)) {
      const auto start = Clock::now();
      result_.finish_reason = generate(sequence.id(), logits);
      if (!stops_.stopped()) {
        emit(stops_.push(text_.finish()));
        emit(stops_.finish());
      }
      if (stops_.stopped()) {
        if (result_.finish_reason != FinishReason::cancelled) {
          result_.finish_reason = FinishReason::stop_string;
        }
        result_.stop = stops_.found();
      }
      result_.timings.generate_seconds = seconds_since(start);
    } else {
      result_.finish_reason = FinishReason::cancelled;
    }
    result_.timings.generated_tokens = static_cast<std::int64_t>(result_.ids.size());
    return std::move(result_);
  }

 private:
  /// Computes the part of the prompt that the sequence does not hold yet; false if cancelled.
  bool step_prompt(SequenceId sequence, StepResult& logits) {
    const auto held = session_.tokens(sequence);
    const auto differs =
        std::mismatch(prompt_.begin(), prompt_.end(), held.begin(), held.end()).first;
    // The last token is always computed: its logits are what is asked for.
    std::int64_t reused = std::min<std::int64_t>(differs - prompt_.begin(),
                                                 static_cast<std::int64_t>(prompt_.size()) - 1);
    if (reused < session_.position(sequence)) reused = session_.rewind(sequence, reused);
    const auto rest = std::span<const TokenId>(prompt_).subspan(static_cast<std::size_t>(reused));
    const auto start = Clock::now();
    const bool done = step(sequence, rest, logits, callbacks_.progress);
    GenerateTimings& timings = result_.timings;
    timings.prompt_seconds = seconds_since(start);
    timings.reused_tokens = reused;
    if (done) timings.prompt_tokens = static_cast<std::int64_t>(rest.size());
    return done;
  }

  bool step(SequenceId sequence, std::span<const TokenId> ids, StepResult& logits,
            const Progress& progress = {}) {
    if (callbacks_.stop.stop_requested()) return false;
    try {
      logits = session_.step({{sequence, ids}}, {.stop = callbacks_.stop, .progress = progress});
    } catch (const Error& error) {
      // Only an end that was asked for here is an ordinary one.
      if (error.code() == ErrorCode::cancelled && callbacks_.stop.stop_requested()) return false;
      throw;
    }
    return true;
  }

  FinishReason generate(SequenceId sequence, StepResult& logits) {
    while (true) {
      const auto count = static_cast<std::int64_t>(result_.ids.size());
      if (request_.max_tokens && count >= *request_.max_tokens) return FinishReason::length;
      if (count > 0) {
        if (session_.position(sequence) >= session_.context()) return FinishReason::context_full;
        const std::array<TokenId, 1> last = {result_.ids.back()};
        if (!step(sequence, last, logits)) return FinishReason::cancelled;
        ++result_.timings.steps;
      }
      const std::span<const float> row = logits.row(0);
      const TokenId id = sampler_.sample(row);
      sampler_.accept(id);
      if (ends(id)) return FinishReason::end_of_generation;
      if (!take(id, row)) return FinishReason::cancelled;
      if (stops_.stopped()) return FinishReason::stop_string;
    }
  }

  bool ends(TokenId id) const {
    if (std::find(request_.stop_ids.begin(), request_.stop_ids.end(), id) !=
        request_.stop_ids.end()) {
      return true;
    }
    return !request_.ignore_end_of_generation && tokenizer_->is_end_of_generation(id);
  }

  /// Adds a token to the result and tells the callbacks; false if one of them cancels.
  bool take(TokenId id, std::span<const float> row) {
    GeneratedToken token;
    token.id = id;
    token.index = static_cast<std::int64_t>(result_.ids.size());
    result_.ids.push_back(id);
    if (request_.log_probabilities) {
      result_.log_probabilities.push_back(ingot::log_probabilities(
          row, id, static_cast<std::size_t>(request_.top_log_probabilities)));
      token.log_probabilities = &result_.log_probabilities.back();
    }
    const std::string text = text_.push(id);
    token.text = text;
    const bool go_on = !callbacks_.on_token || callbacks_.on_token(token);
    return emit(stops_.push(text)) && go_on;
  }

  bool emit(const std::string& text) {
    if (text.empty()) return true;
    result_.text += text;
    return !callbacks_.on_text || callbacks_.on_text(text);
  }

  Session& session_;
  const GenerateRequest& request_;
  SamplerChain& sampler_;
  const GenerateCallbacks& callbacks_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  StreamingDetokenizer text_;
  StopMatcher stops_;
  std::vector<TokenId> prompt_;
  GenerateResult result_;
};

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::end_of_generation: return "end_of_generation";
    case FinishReason::stop_string: return "stop_string";
    case FinishReason::length: return "length";
    case FinishReason::context_full: return "context_full";
    case FinishReason::cancelled: return "cancelled";
  }
  return "unknown";
}

GenerateResult generate(Session& session, const GenerateRequest& request,
                        const GenerateCallbacks& callbacks) {
  SamplerChain sampler(request.sampler);
  return generate(session, request, sampler, callbacks);
}

GenerateResult generate(Session& session, const GenerateRequest& request, SamplerChain& sampler,
                        const GenerateCallbacks& callbacks) {
  return Generation(session, request, sampler, callbacks).run();
}

}  // namespace ingot
