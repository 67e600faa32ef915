#include "ingot/session.hpp"

#include <algorithm>
#include <numeric>

#include "ingot/error.hpp"
#include "src/session/session_impl.hpp"
#include "src/session/step_builder.hpp"

namespace ingot {

using namespace internal;

namespace {

// Which of a request's tokens want logits, as ascending indices.
std::vector<std::int32_t> wanted_rows(const StepRequest& request) {
  const auto count = static_cast<std::int32_t>(request.tokens.size());
  if (!request.rows.empty()) {
    std::int32_t previous = -1;
    for (const std::int32_t row : request.rows) {
      if (row <= previous || row >= count) {
        fail(ErrorCode::invalid_argument, "logits of row ", row, " after row ", previous,
             " were asked for in a request of ", count, " tokens; rows must ascend and exist");
      }
      previous = row;
    }
    return request.rows;
  }
  switch (request.logits) {
    case Logits::none: return {};
    case Logits::last: return {count - 1};
    case Logits::all: break;
  }
  std::vector<std::int32_t> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// A request on its way through the step: what of it has been computed.
struct Pending {
  const StepRequest* request = nullptr;
  Session::Impl* session = nullptr;
  std::vector<std::int32_t> rows;
  std::int64_t done = 0;      // tokens computed
  std::size_t rows_done = 0;  // entries of `rows` computed

  std::int64_t left() const { return static_cast<std::int64_t>(request->tokens.size()) - done; }
};

// The share of one request in one device step.
struct Share {
  Pending* pending = nullptr;
  std::int64_t count = 0;
  std::vector<std::int32_t> outputs;  // relative to the share
};

// As many tokens of the request as fit beside what the step already has.
Share take_share(Pending& pending, const StepLimits& limits, std::int64_t tokens,
                 std::int64_t outputs) {
  Share share;
  share.pending = &pending;
  share.count = std::min(pending.left(), limits.tokens - tokens);
  std::size_t next = pending.rows_done;
  while (next < pending.rows.size() && pending.rows[next] < pending.done + share.count) {
    if (outputs + static_cast<std::int64_t>(share.outputs.size()) == limits.outputs) {
      share.count = pending.rows[next] - pending.done;  // stop before a row there is no room for
      break;
    }
    share.outputs.push_back(static_cast<std::int32_t>(pending.rows[next] - pending.done));
    ++next;
  }
  return share;
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<const Executable> loaded_executable)
    : executable(std::move(loaded_executable)),
      runner(executable->impl_->compiled->new_runner(executable->impl_->limits,
                                                     executable->impl_->plan.cache,
                                                     executable->impl_->page_counts)),
      states(executable->impl_->program->state_groups, executable->impl_->page_counts) {}

const Session::Impl::Sequence& Session::Impl::find(SequenceId id) const {
  const auto found = sequences.find(id.value);
  if (found == sequences.end()) {
    fail(ErrorCode::invalid_argument, "sequence ", id.value, " is not open in this session");
  }
  return found->second;
}

Session::Impl::Sequence& Session::Impl::find(SequenceId id) {
  return const_cast<Sequence&>(std::as_const(*this).find(id));
}

void Session::Impl::require_free_slot() const {
  const std::int64_t most = loaded().plan.max_sequences;
  if (static_cast<std::int64_t>(sequences.size()) >= most) {
    fail(ErrorCode::invalid_argument, "all ", most,
         " sequences of this session are open; close one or load with a larger max_sequences");
  }
}

SequenceId Session::Impl::add(Sequence sequence) {
  const SequenceId id{next_id++};
  sequences.emplace(id.value, std::move(sequence));
  return id;
}

Session::Session(std::shared_ptr<const Executable> executable)
    : impl_(std::make_unique<Impl>(std::move(executable))) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Executable& Session::executable() const {
  return *impl_->executable;
}
std::int64_t Session::context() const {
  return impl_->loaded().plan.context;
}

SequenceId Session::open() {
  impl_->require_free_slot();
  return impl_->add({impl_->states.open(), {}});
}

SequenceId Session::fork(SequenceId sequence) {
  impl_->require_free_slot();
  const Impl::Sequence& from = impl_->find(sequence);
  return impl_->add({impl_->states.fork(from.state), from.tokens});
}

void Session::close(SequenceId sequence) {
  impl_->states.close(impl_->find(sequence).state);
  impl_->sequences.erase(sequence.value);
}

std::int64_t Session::position(SequenceId sequence) const {
  return impl_->states.position(impl_->find(sequence).state);
}

std::span<const TokenId> Session::tokens(SequenceId sequence) const {
  return impl_->find(sequence).tokens;
}

std::int64_t Session::rewind(SequenceId sequence, std::int64_t to) {
  Impl::Sequence& found = impl_->find(sequence);
  if (to < 0) fail(ErrorCode::invalid_argument, "cannot rewind to position ", to);
  const std::int64_t restored = impl_->states.rewind(found.state, to);
  found.tokens.resize(static_cast<std::size_t>(restored));
  return restored;
}

void Session::set_tap(Tap tap, TapDetail detail) {
  impl_->tap = std::move(tap);
  impl_->tap_detail = detail;
}

StepResult Session::step(std::initializer_list<StepRequest> requests, const StepOptions& options) {
  return step(std::span<const StepRequest>(requests.begin(), requests.size()), options);
}

StepResult Session::step(std::span<const StepRequest> requests, const StepOptions& options) {
  const Executable::Impl& loaded = impl_->loaded();
  const std::int64_t vocabulary = loaded.program->value(loaded.program->logits).columns;

  // Everything that can be refused is refused before the first page is touched.
  std::vector<Pending> pending;
  StepResult result;
  result.vocabulary_size = vocabulary;
  std::int64_t total_rows = 0;
  std::int64_t total_tokens = 0;
  for (const StepRequest& request : requests) {
    const Impl::Sequence& sequence = impl_->find(request.sequence);
    for (const Pending& other : pending) {
      if (other.request->sequence == request.sequence) {
        fail(ErrorCode::invalid_argument, "sequence ", request.sequence.value,
             " appears twice in one step");
      }
    }
    if (request.tokens.empty()) {
      fail(ErrorCode::invalid_argument, "the request of sequence ", request.sequence.value,
           " has no tokens");
    }
    for (const TokenId id : request.tokens) {
      if (id < 0 || id >= vocabulary) {
        fail(ErrorCode::invalid_argument, "token id ", id, " is outside the vocabulary of ",
             vocabulary);
      }
    }
    const std::int64_t position = impl_->states.position(sequence.state);
    const auto count = static_cast<std::int64_t>(request.tokens.size());
    if (count > context() - position) {
      fail(ErrorCode::invalid_argument, count, " tokens after ", position,
           " do not fit the context of ", context(), " positions; load with a larger context");
    }
    result.first_row.push_back(total_rows);
    pending.push_back({&request, impl_.get(), wanted_rows(request), 0, 0});
    total_rows += static_cast<std::int64_t>(pending.back().rows.size());
    total_tokens += count;
  }
  result.logits.reserve(static_cast<std::size_t>(total_rows * vocabulary));

  std::int64_t done_tokens = 0;
  const auto run = [&](const std::vector<Share>& shares) {
    StepBuilder builder(*loaded.program);
    for (const Share& share : shares) {
      const Impl::Sequence& sequence = impl_->find(share.pending->request->sequence);
      for (const auto& [group, copy] : impl_->states.reserve(sequence.state, share.count)) {
        impl_->runner->states().copy_page(group, copy.from, copy.to);
      }
      builder.add(
          share.pending->request->tokens.subspan(static_cast<std::size_t>(share.pending->done),
                                                 static_cast<std::size_t>(share.count)),
          impl_->states, sequence.state, share.outputs);
    }
    const std::span<const float> logits =
        impl_->runner->step(builder.finish(), impl_->tap, impl_->tap_detail);
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
    for (const Share& share : shares) {
      impl_->states.commit(impl_->find(share.pending->request->sequence).state, share.count);
      share.pending->done += share.count;
      share.pending->rows_done += share.outputs.size();
      done_tokens += share.count;
    }
    if (options.progress) {
      options.progress("prompt", static_cast<std::uint64_t>(done_tokens),
                       static_cast<std::uint64_t>(total_tokens));
    }
  };

  for (const Pending& request : pending) {
    impl_->states.checkpoint(impl_->find(request.request->sequence).state);
  }
  try {
    std::vector<Share> shares;
    std::int64_t tokens = 0;
    std::int64_t outputs = 0;
    const auto flush = [&] {
      if (shares.empty()) return;
      if (options.stop.stop_requested()) fail(ErrorCode::cancelled, "the step was cancelled");
      run(shares);
      shares.clear();
      tokens = outputs = 0;
    };
    for (Pending& request : pending) {
      while (request.left() > 0) {
        Share share = take_share(request, loaded.limits, tokens, outputs);
        const bool whole = share.count == request.left();
        if (share.count > 0) {
          tokens += share.count;
          outputs += static_cast<std::int64_t>(share.outputs.size());
          shares.push_back(std::move(share));
        }
        if (whole) break;  // counted as done when its step has run
        flush();
      }
    }
    flush();
    for (const Pending& request : pending) {
      Impl::Sequence& sequence = impl_->find(request.request->sequence);
      sequence.tokens.insert(sequence.tokens.end(), request.request->tokens.begin(),
                             request.request->tokens.end());
    }
  } catch (...) {
    for (const Pending& request : pending) {
      Impl::Sequence& sequence = impl_->find(request.request->sequence);
      impl_->states.restore(sequence.state);
      sequence.tokens.resize(static_cast<std::size_t>(impl_->states.position(sequence.state)));
    }
    throw;
  }
  for (const Pending& request : pending) {
    impl_->states.release(impl_->find(request.request->sequence).state);
  }
  return result;
}

}  // namespace ingot
