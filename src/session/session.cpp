#include "ingot/session.hpp"

#include <algorithm>
#include <atomic>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/session/session_impl.hpp"
#include "src/state/paged_states.hpp"

namespace ingot {

using namespace internal;

namespace {

// Sessions are numbered, so that a sequence of one is not taken for another's.
std::uint32_t next_session_number() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<const Executable> loaded_executable)
    : executable(std::move(loaded_executable)),
      number(next_session_number()),
      runner(loaded().compiled().new_runner(loaded().limits(), loaded().plan().cache,
                                            loaded().lowered.page_counts)),
      states(loaded().program().state_groups, loaded().lowered.page_counts) {}

const Session::Impl::Sequence& Session::Impl::find(SequenceId id) const {
  if (id.session != number && id.session != 0) {
    fail(ErrorCode::invalid_argument, "sequence ", id.value, " belongs to another session");
  }
  const auto found = sequences.find(id.value);
  if (id.session != number || found == sequences.end()) {
    fail(ErrorCode::invalid_argument, "sequence ", id.value, " is not open in this session");
  }
  return found->second;
}

Session::Impl::Sequence& Session::Impl::find(SequenceId id) {
  return const_cast<Sequence&>(std::as_const(*this).find(id));
}

void Session::Impl::require_free_slot() const {
  const std::int64_t most = loaded().plan().max_sequences;
  if (static_cast<std::int64_t>(sequences.size()) >= most) {
    fail(ErrorCode::invalid_argument, "all ", most,
         " sequences of this session are open; close one or load with a larger max_sequences");
  }
}

SequenceId Session::Impl::add(Sequence sequence) {
  const SequenceId id{next_id, number};
  sequences.emplace(id.value, std::move(sequence));
  ++next_id;
  return id;
}

Session::Session(std::shared_ptr<const Executable> executable) try
    : impl_(std::make_unique<Impl>(
          detail::required(std::move(executable), "Session", "an executable"))) {
} catch (...) {
  detail::rethrow_at_border("Session");
}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Executable& Session::executable() const {
  return *impl_->executable;
}
std::int64_t Session::context() const {
  return impl_->loaded().plan().context;
}
std::int64_t Session::free_positions() const {
  return impl_->states.group(0).free_pages() * kPageTokens;
}

SequenceId Session::open() try {
  impl_->require_free_slot();
  return impl_->add_opened({}, [&] { return impl_->states.open(); });
} catch (...) {
  detail::rethrow_at_border("Session::open");
}

SequenceId Session::fork(SequenceId sequence) try {
  impl_->require_free_slot();
  const Impl::Sequence& from = impl_->find(sequence);
  return impl_->add_opened(from.tokens, [&] { return impl_->states.fork(from.state); });
} catch (...) {
  detail::rethrow_at_border("Session::fork");
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

void Session::set_tap(Tap tap, const TapOptions& options) try {
  TapRequest request;
  request.detail = options.detail;
  if (!options.names.empty()) {
    if (options.detail == TapDetail::as_run) {
      fail(ErrorCode::invalid_argument,
           "a tap for what runs as one sees no values; ask for names with every_value");
    }
    const std::vector<Value>& values = impl_->loaded().program().values;
    request.values.assign(values.size(), false);
    for (const std::string& name : options.names) {
      const auto found = std::find_if(values.begin(), values.end(),
                                      [&](const Value& value) { return value.name == name; });
      if (found == values.end()) {
        fail(ErrorCode::invalid_argument, "no value is named \"", name,
             "\"; Model::program_text() lists the names");
      }
      request.values[static_cast<std::size_t>(found - values.begin())] = true;
    }
  }
  impl_->tap = std::move(tap);
  request.tap = impl_->tap ? &impl_->tap : nullptr;
  impl_->tap_request = std::move(request);
} catch (...) {
  detail::rethrow_at_border("Session::set_tap");
}

}  // namespace ingot
