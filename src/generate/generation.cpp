#include "ingot/generation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <exception>
#include <utility>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/generate/stop_matcher.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const GenerateRequest& request,
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
  if (std::ssize(ids) > context) {
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
  for (const LogitsProcessor& processor : request.processors) {
    if (!processor) {
      fail(ErrorCode::invalid_argument, "generate: a logits processor is an empty function");
    }
  }
}

/// A generation's sequence; one of its own is closed when it ends.
class SequenceUse {
 public:
  SequenceUse(Session& session, std::optional<SequenceId> given)
      : session_(&session), id_(given ? *given : session.open()), owned_(!given) {
    if (given) (void)session.position(*given);  // refused now if it is not open
  }
  ~SequenceUse() {
    try {
      release();
    } catch (...) {  // a callback closed it, or moved the session away
    }
  }
  SequenceUse(const SequenceUse&) = delete;
  SequenceUse& operator=(const SequenceUse&) = delete;

  SequenceId id() const { return id_; }
  void release() {
    if (std::exchange(owned_, false)) session_->close(id_);
  }

 private:
  Session* session_;
  SequenceId id_;
  bool owned_;
};

}  // namespace

struct Generation::Impl {
  Impl(Session& of_session, GenerateRequest wanted, SamplerChain* chain)
      : session(of_session),
        request(std::move(wanted)),
        own_sampler(chain == nullptr ? SamplerChain(request.sampler) : SamplerChain()),
        sampler(chain == nullptr ? own_sampler : *chain),
        tokenizer(session.executable().model()->tokenizer()),
        text(tokenizer),
        stops(request.stop) {
    check(request);
    tokens = prompt_ids(*tokenizer, request, session.context());
    prompt_size = std::ssize(tokens);
    sequence = std::make_unique<SequenceUse>(session, request.sequence);
    token_count = static_cast<std::size_t>(session.executable().internals().program().token_count);
    result.seed = sampler.seed();
    // A template's text begins with BOS, and so do the ids of texts: models have not seen two.
    if (request.prompt_ids.empty() && tokenizer->doubles_bos(tokens)) {
      result.warnings.push_back(detail::concat(
          "the prompt begins with ", gguf::quoted(tokenizer->raw_text(tokens.front())),
          ", and the model's file asks for one more in front of it: the model reads two; leave it "
          "out of the prompt"));
    }
    reuse();
    sampler.accept(tokens);
  }

  // Keeps of the sequence what it has in common with the prompt.
  void reuse() {
    const auto held = session.tokens(sequence->id());
    const auto differs =
        std::mismatch(tokens.begin(), tokens.end(), held.begin(), held.end()).first;
    // The last token is always computed: its outputs are what is asked for.
    std::int64_t common = std::min<std::int64_t>(differs - tokens.begin(), prompt_size - 1);
    if (common < session.position(sequence->id())) {
      common = session.rewind(sequence->id(), common);
    }
    result.timings.reused_tokens = common;
  }

  std::int64_t position() const {
    return finished ? last_position : session.position(sequence->id());
  }
  Outputs outputs() const {
    if (request.max_tokens && *request.max_tokens == 0) return Outputs::none();
    // Log-probabilities are sums in double over all logits; processors may change any of them.
    if (!request.processors.empty() || request.log_probabilities) return Outputs::last();
    const SamplerChain::Need need = sampler.need();
    // Candidates that are a good part of the vocabulary cost more to find than to copy.
    const bool few = need.count <= static_cast<std::int64_t>(token_count / 8);
    switch (need.kind) {
      case SamplerChain::Need::Kind::best: return Outputs::last(Want::id);
      case SamplerChain::Need::Kind::candidates:
        if (few) return Outputs::last(Want::candidates, static_cast<std::int32_t>(need.count));
        break;
      case SamplerChain::Need::Kind::logits: break;
    }
    return Outputs::last();
  }

  StepRequest next(std::int64_t max_tokens) {
    if (finished) fail(ErrorCode::invalid_argument, "the generation is finished; it wants nothing");
    if (max_tokens < 0) {
      fail(ErrorCode::invalid_argument, "a generation was asked for ", max_tokens,
           " tokens; it must be 0 (all) or more");
    }
    if (!started) start = Clock::now();
    started = true;
    // A step that was cancelled may have computed all that it was given, and its outputs are lost
    // all the same: the last token is computed again.
    if (position() >= std::ssize(tokens)) {
      (void)session.rewind(sequence->id(), std::ssize(tokens) - 1);
    }
    auto rest = std::span<const TokenId>(tokens).subspan(static_cast<std::size_t>(position()));
    if (max_tokens > 0 && std::ssize(rest) > max_tokens) {
      rest = rest.first(static_cast<std::size_t>(max_tokens));
      asked = max_tokens;
      return {sequence->id(), rest, Outputs::none()};
    }
    asked = std::ssize(rest);
    return {sequence->id(), rest, outputs()};
  }

  void take(const StepResult& step, std::size_t number) {
    if (finished || asked == 0) {
      fail(ErrorCode::invalid_argument,
           "a generation was given a step's result without having asked with next()");
    }
    const std::int64_t first = step.first_row(number);
    const bool has_row = step.first_row(number + 1) > first;
    asked = 0;
    if (!prompt_done) {
      count_prompt();
      if (position() < prompt_size) return;
      prompt_done = true;
      start = Clock::now();
      if (request.max_tokens && *request.max_tokens == 0) return end(FinishReason::length);
    } else {
      if (position() < std::ssize(tokens)) return;  // of what a cancelled step made to be repeated
      ++result.timings.steps;
    }
    if (!has_row) {
      fail(ErrorCode::invalid_argument, "the step's result has no output for this generation");
    }
    try {
      draw(step, first);
    } catch (...) {
      end(FinishReason::cancelled);  // the step's result is gone: there is nothing to go on from
      throw;
    }
  }

  void count_prompt() {
    result.timings.prompt_tokens = position() - result.timings.reused_tokens;
    result.timings.prompt_seconds = seconds_since(start);
  }

  void draw(const StepResult& step, std::int64_t row) {
    std::optional<LogProbabilities> log_probabilities;
    TokenId id = 0;
    switch (step.want(row)) {
      case Want::id: {
        require_finite(step, row);
        const std::array<Candidate, 1> best = {Candidate{step.id(row), 0.0F}};
        id = sampler.sample(best);
        break;
      }
      case Want::candidates:
        require_finite(step, row);
        id = sampler.sample(step.candidates(row).best);
        break;
      case Want::logits: {
        const auto logits = step.logits(row).first(token_count);
        id = sampler.sample(processed(logits));
        if (request.log_probabilities) {
          log_probabilities = ingot::log_probabilities(
              logits, id, static_cast<std::size_t>(request.top_log_probabilities));
        }
        break;
      }
      case Want::hidden:
        fail(ErrorCode::invalid_argument, "the step's result is a hidden row; ask with next()");
    }
    sampler.accept(id);
    if (ends(id)) return end(FinishReason::end_of_generation);
    add(id, std::move(log_probabilities));
    if (stops.stopped()) return end(FinishReason::stop_string);
    const std::int64_t drawn = std::ssize(result.ids);
    if (request.max_tokens && drawn >= *request.max_tokens) return end(FinishReason::length);
    if (position() >= session.context()) return end(FinishReason::context_full);
    tokens.push_back(id);
  }

  void require_finite(const StepResult& step, std::int64_t row) const {
    if (const TokenId bad = step.not_finite(row); bad >= 0) {
      fail(ErrorCode::invalid_argument, "sampler: the logit of token ", bad,
           " is NaN or +infinity; the model's weights are damaged or a computation overflowed");
    }
  }

  // The logits after the processors, or as they are if there are none.
  std::span<const float> processed(std::span<const float> logits) {
    if (request.processors.empty()) return logits;
    scratch.assign(logits.begin(), logits.end());
    const std::span<const TokenId> ids = session.tokens(sequence->id());
    for (const LogitsProcessor& processor : request.processors) processor(scratch, ids);
    return scratch;
  }

  bool ends(TokenId id) const {
    if (std::find(request.stop_ids.begin(), request.stop_ids.end(), id) != request.stop_ids.end()) {
      return true;
    }
    return !request.ignore_end_of_generation && tokenizer->is_end_of_generation(id);
  }

  void add(TokenId id, std::optional<LogProbabilities> log_probabilities) {
    GenerationEvent event;
    event.id = id;
    event.index = std::ssize(result.ids);
    event.text = text.push(id);
    event.log_probabilities = std::move(log_probabilities);
    result.ids.push_back(id);
    if (event.log_probabilities) result.log_probabilities.push_back(*event.log_probabilities);
    const std::string certain = stops.push(event.text);
    events.push_back(std::move(event));
    emit(certain);
  }

  void emit(const std::string& certain) {
    if (certain.empty()) return;
    result.text += certain;
    GenerationEvent event;
    event.kind = GenerationEvent::Kind::text;
    event.text = certain;
    events.push_back(std::move(event));
  }

  void end(FinishReason reason) {
    if (!stops.stopped() && prompt_done) {
      emit(stops.push(text.finish()));
      emit(stops.finish());
    }
    if (stops.stopped()) {
      if (reason != FinishReason::cancelled) reason = FinishReason::stop_string;
      result.stop = stops.found();
    }
    result.finish_reason = reason;
    if (prompt_done) {
      result.timings.generate_seconds = seconds_since(start);
    } else if (started) {
      count_prompt();
    }
    result.timings.generated_tokens = std::ssize(result.ids);
    last_position = position();
    finished = true;
    sequence->release();
    GenerationEvent event;
    event.kind = GenerationEvent::Kind::finished;
    event.reason = reason;
    events.push_back(std::move(event));
  }

  Session& session;
  GenerateRequest request;
  SamplerChain own_sampler;
  SamplerChain& sampler;
  std::shared_ptr<const Tokenizer> tokenizer;
  StreamingDetokenizer text;
  StopMatcher stops;
  std::vector<TokenId> tokens;  // the prompt and what was drawn
  std::int64_t prompt_size = 0;
  std::unique_ptr<SequenceUse> sequence;
  std::size_t token_count = 0;
  std::int64_t asked = 0;  // tokens of the last next(), until they are taken
  bool started = false;
  bool prompt_done = false;  // the prompt is computed
  bool finished = false;
  std::int64_t last_position = 0;  // of the sequence when finished
  Clock::time_point start;         // of the prompt, then of the tokens
  std::vector<float> scratch;      // logits that processors write
  std::deque<GenerationEvent> events;
  GenerateResult result;
};

Generation::Generation(Session& session, GenerateRequest request) try
    : impl_(std::make_unique<Impl>(session, std::move(request), nullptr)) {
} catch (...) {
  detail::rethrow_at_border("Generation");
}
Generation::Generation(Session& session, GenerateRequest request, SamplerChain& sampler) try
    : impl_(std::make_unique<Impl>(session, std::move(request), &sampler)) {
} catch (...) {
  detail::rethrow_at_border("Generation");
}
Generation::~Generation() = default;
Generation::Generation(Generation&&) noexcept = default;
Generation& Generation::operator=(Generation&&) noexcept = default;

Generation::Impl& Generation::impl() const {
  if (impl_ == nullptr) {
    fail(ErrorCode::invalid_argument, "this Generation was moved from; use the one it moved to");
  }
  return *impl_;
}

bool Generation::finished() const {
  return impl().finished;
}
StepRequest Generation::next(std::int64_t max_tokens) try {
  return impl().next(max_tokens);
} catch (...) {
  detail::rethrow_at_border("Generation::next");
}
void Generation::take(const StepResult& result, std::size_t request) try {
  impl().take(result, request);
} catch (...) {
  detail::rethrow_at_border("Generation::take");
}
void Generation::cancel() try {
  if (!impl().finished) impl().end(FinishReason::cancelled);
} catch (...) {
  detail::rethrow_at_border("Generation::cancel");
}
std::int64_t Generation::prompt_tokens() const {
  return impl().prompt_size;
}
std::int64_t Generation::prompt_tokens_done() const {
  return std::min(impl().position(), prompt_tokens());
}
SequenceId Generation::sequence() const {
  return impl().sequence->id();
}
const GenerateResult& Generation::result() const {
  return impl().result;
}

std::optional<GenerationEvent> Generation::poll() try {
  auto& events = impl().events;
  if (events.empty()) return std::nullopt;
  GenerationEvent event = std::move(events.front());
  events.pop_front();
  return event;
} catch (...) {
  detail::rethrow_at_border("Generation::poll");
}

std::size_t advance(Session& session, std::span<Generation* const> generations,
                    const StepOptions& options, std::int64_t max_prompt_tokens) try {
  std::vector<StepRequest> requests;
  std::vector<Generation*> taking;
  for (Generation* generation : generations) {
    if (generation == nullptr) fail(ErrorCode::invalid_argument, "advance: a generation is null");
    if (generation->finished()) continue;
    requests.push_back(generation->next(max_prompt_tokens));
    taking.push_back(generation);
  }
  if (requests.empty()) return 0;
  const StepResult result = session.step(requests, options);
  // One that throws has ended; the others must have what the step computed for them.
  std::exception_ptr failure;
  for (std::size_t i = 0; i < taking.size(); ++i) {
    try {
      taking[i]->take(result, i);
    } catch (...) {
      if (failure == nullptr) failure = std::current_exception();
    }
  }
  if (failure != nullptr) std::rethrow_exception(failure);
  return taking.size();
} catch (...) {
  detail::rethrow_at_border("advance");
}

std::size_t advance(Session& session, std::initializer_list<Generation*> generations,
                    const StepOptions& options, std::int64_t max_prompt_tokens) {
  return advance(session, std::span<Generation* const>(generations.begin(), generations.size()),
                 options, max_prompt_tokens);
}

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

}  // namespace ingot
