// Session::step: requests are checked, cut into parts that the device can take, and run one part
// after the other.
//
//   requests ── check ──▶ Pending each ── take shares ──▶ Part ── reserve, build, submit, wait ──▶
//   rows
//                                                          ▲                              │
//                                                          └──── until nothing is left ◀──┘
#include <algorithm>
#include <utility>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/session/session_impl.hpp"
#include "src/session/step_builder.hpp"
#include "src/session/step_result.hpp"

namespace ingot {

using namespace internal;

namespace {

using Sequence = Session::Impl::Sequence;

// A request on its way through the step.
struct Pending {
  const StepRequest* request = nullptr;
  Sequence* sequence = nullptr;
  std::int64_t first_row = 0;      // of its outputs, in the result
  std::vector<RowOutput> outputs;  // rows ascending
  std::int64_t done = 0;           // tokens computed
  std::size_t outputs_done = 0;    // of `outputs`

  std::int64_t left() const { return std::ssize(request->tokens) - done; }
};

// The share of one request in one part.
struct Share {
  Pending* pending = nullptr;
  std::int64_t count = 0;   // tokens
  std::size_t outputs = 0;  // the next of its outputs
};

struct Part {
  std::vector<Share> shares;
  std::int64_t tokens = 0;
  std::int64_t heads = 0;

  void clear() { *this = {}; }
};

// As many tokens of the request as fit beside what the part already has.
Share take_share(Pending& pending, const StepLimits& limits, const Part& part) {
  Share share{&pending, std::min(pending.left(), limits.tokens - part.tokens), 0};
  std::int64_t heads = part.heads;
  for (std::size_t next = pending.outputs_done; next < pending.outputs.size(); ++next) {
    const RowOutput& output = pending.outputs[next];
    if (output.row >= pending.done + share.count) break;
    if (output.want != Want::hidden && heads++ == limits.heads) {
      share.count = output.row - pending.done;  // stop before a row there is no room for
      break;
    }
    ++share.outputs;
  }
  return share;
}

std::int64_t heads_of(const Share& share) {
  const auto first =
      share.pending->outputs.begin() + static_cast<std::ptrdiff_t>(share.pending->outputs_done);
  return std::count_if(first, first + static_cast<std::ptrdiff_t>(share.outputs),
                       [](const RowOutput& output) { return output.want != Want::hidden; });
}

// One call of Session::step.
class Step {
 public:
  Step(Session::Impl& session, StepResult& result, const StepOptions& options)
      : session_(session),
        loaded_(session.loaded()),
        options_(options),
        result_(result),
        builder_(loaded_.program()) {}

  // Everything that can be refused is refused before the first page is touched.
  void check(std::span<const StepRequest> requests) {
    const Program& program = loaded_.program();
    const std::int64_t ids = loaded_.model->spec().vocabulary_size;
    const std::int64_t context = loaded_.plan().context;
    pending_.reserve(requests.size());
    std::int64_t rows = 0;
    for (const StepRequest& request : requests) {
      Pending pending;
      pending.request = &request;
      pending.sequence = &session_.find(request.sequence);
      for (const Pending& other : pending_) {
        if (other.sequence == pending.sequence) {
          fail(ErrorCode::invalid_argument, "sequence ", request.sequence.value,
               " appears twice in one step");
        }
      }
      if (request.tokens.empty()) {
        fail(ErrorCode::invalid_argument, "the request of sequence ", request.sequence.value,
             " has no tokens");
      }
      for (const TokenId id : request.tokens) {
        if (id < 0 || id >= ids) {
          fail(ErrorCode::invalid_argument, "token id ", id, " is outside the vocabulary of ", ids);
        }
      }
      const std::int64_t position = session_.states.position(pending.sequence->state);
      const std::int64_t count = std::ssize(request.tokens);
      if (count > context - position) {
        fail(ErrorCode::invalid_argument, count, " tokens after ", position,
             " do not fit the context of ", context, " positions; load with a larger context");
      }
      request.outputs.expand(count, pending.outputs);
      for (const RowOutput& output : pending.outputs) {
        if (output.want == Want::candidates && output.top_k > program.token_count) {
          fail(ErrorCode::invalid_argument, output.top_k, " candidates were asked for; there are ",
               program.token_count, " tokens");
        }
        if (output.want == Want::hidden && program.hidden.index < 0) {
          fail(ErrorCode::unsupported, "this program has no hidden rows to give");
        }
      }
      pending.first_row = rows;
      rows += std::ssize(pending.outputs);
      total_tokens_ += count;
      pending_.push_back(std::move(pending));
    }
    check_pages();
    for (const Pending& pending : pending_) {
      StepResult::Access::add_request(result_, pending.first_row);
      StepResult::Access::add_rows(result_, program, pending.outputs);
    }
  }

  void run() {
    for (const Pending& pending : pending_) session_.states.begin(pending.sequence->state);
    try {
      Part part;
      for (Pending& pending : pending_) {
        while (pending.left() > 0) {
          const Share share = take_share(pending, loaded_.limits(), part);
          const bool whole = share.count == pending.left();
          if (share.count > 0) {
            part.tokens += share.count;
            part.heads += heads_of(share);
            part.shares.push_back(share);
          }
          if (whole) break;  // counted as done when its part has run
          run_part(part);
          part.clear();
        }
      }
      run_part(part);
    } catch (const Error& error) {
      // What was finished stays: a prompt of minutes is not to be computed twice.
      if (error.code() == ErrorCode::cancelled && options_.cancel.requested()) {
        for (const Pending& pending : pending_) {
          session_.states.cancel(pending.sequence->state);
          session_.states.end(pending.sequence->state);
        }
      } else {
        undo();
      }
      throw;
    } catch (...) {
      undo();
      throw;
    }
    for (const Pending& pending : pending_) session_.states.end(pending.sequence->state);
  }

 private:
  void undo() {
    for (const Pending& pending : pending_) {
      session_.states.undo(pending.sequence->state);
      pending.sequence->tokens.resize(
          static_cast<std::size_t>(session_.states.position(pending.sequence->state)));
    }
  }

  // The pages of the group that keeps every position. Other groups never need more, but give pages
  // back while the parts of a step run.
  void check_pages() const {
    const SequenceStates& states = session_.states.group(0);
    std::int64_t needed = 0;
    for (const Pending& pending : pending_) {
      needed += states.pages_needed(pending.sequence->state, std::ssize(pending.request->tokens));
    }
    if (needed <= states.free_pages()) return;
    fail(ErrorCode::out_of_memory, "the cache is full: this step needs ", needed, " pages of ",
         kPageTokens, " positions, and ", states.free_pages(),
         " are free; close or rewind a sequence, or load with more cache_positions");
  }

  void run_part(const Part& part) {
    if (part.shares.empty()) return;
    if (options_.cancel.requested()) fail(ErrorCode::cancelled, "the step was cancelled");
    for (const Share& share : part.shares) {
      const Pending& pending = *share.pending;
      builder_.copy_pages(session_.states.reserve(pending.sequence->state, share.count));
      builder_.add(pending.request->tokens.subspan(static_cast<std::size_t>(pending.done),
                                                   static_cast<std::size_t>(share.count)),
                   session_.states, pending.sequence->state);
    }
    add_outputs(part);
    Runner& runner = *session_.runner;
    const StepInput input = builder_.finish();
    const StepTicket ticket = runner.submit(input, outputs_, session_.tap_request, options_.cancel);
    const StepResultView& rows = runner.wait(ticket);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      StepResult::Access::set_row(result_, places_[i], rows[i]);
    }
    for (const Share& share : part.shares) finish(share);
    if (options_.progress) {
      options_.progress("prompt", static_cast<std::uint64_t>(done_tokens_),
                        static_cast<std::uint64_t>(total_tokens_));
    }
  }

  // The outputs of a part: those that go through the head first.
  void add_outputs(const Part& part) {
    outputs_.clear();
    places_.clear();
    for (const bool hidden : {false, true}) {
      std::int32_t first = 0;  // row of the share in the part
      for (const Share& share : part.shares) {
        const Pending& pending = *share.pending;
        for (std::size_t i = 0; i < share.outputs; ++i) {
          const std::size_t index = pending.outputs_done + i;
          RowOutput output = pending.outputs[index];
          if ((output.want == Want::hidden) != hidden) continue;
          output.row += first - static_cast<std::int32_t>(pending.done);
          outputs_.push_back(output);
          places_.push_back(pending.first_row + static_cast<std::int64_t>(index));
        }
        first += static_cast<std::int32_t>(share.count);
      }
      if (!hidden) builder_.set_head_rows(std::ssize(outputs_));
    }
    for (const RowOutput& output : outputs_) builder_.add_output(output.row);
  }

  void finish(const Share& share) {
    Pending& pending = *share.pending;
    const auto ids = pending.request->tokens.subspan(static_cast<std::size_t>(pending.done),
                                                     static_cast<std::size_t>(share.count));
    std::vector<TokenId>& tokens = pending.sequence->tokens;
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    session_.states.commit(pending.sequence->state, share.count);
    pending.done += share.count;
    pending.outputs_done += share.outputs;
    done_tokens_ += share.count;
  }

  Session::Impl& session_;
  const Executable::Impl& loaded_;
  const StepOptions& options_;
  StepResult& result_;
  StepBuilder builder_;
  std::vector<Pending> pending_;
  std::vector<RowOutput> outputs_;    // of the part that runs
  std::vector<std::int64_t> places_;  // of each, in the result
  std::int64_t total_tokens_ = 0;
  std::int64_t done_tokens_ = 0;
};

}  // namespace

void Session::step(std::span<const StepRequest> requests, StepResult& result,
                   const StepOptions& options) {
  StepResult::Access::clear(result);
  try {
    Step step(*impl_, result, options);
    step.check(requests);
    step.run();
  } catch (...) {
    StepResult::Access::clear(result);
    detail::rethrow_at_border("Session::step");
  }
}

StepResult Session::step(std::span<const StepRequest> requests, const StepOptions& options) {
  StepResult result;
  step(requests, result, options);
  return result;
}

StepResult Session::step(std::initializer_list<StepRequest> requests, const StepOptions& options) {
  return step(std::span<const StepRequest>(requests.begin(), requests.size()), options);
}

}  // namespace ingot
