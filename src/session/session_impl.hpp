// The inside of a Session, for the files of this folder.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "src/session/loaded.hpp"
#include "src/state/grouped_states.hpp"

namespace ingot {

struct Session::Impl {
  /// An open sequence: its number in `states` and the ids it was made from.
  struct Sequence {
    std::int32_t state = -1;
    std::vector<TokenId> tokens;
  };

  explicit Impl(std::shared_ptr<const Executable> loaded);

  const Executable::Impl& loaded() const { return executable->internals(); }
  /// Error invalid_argument for a sequence that is not open, or of another session.
  Sequence& find(SequenceId id);
  const Sequence& find(SequenceId id) const;
  /// Error invalid_argument when max_sequences are open.
  void require_free_slot() const;
  /// Names a new sequence; numbers are never used twice. Whatever throws leaves nothing of it.
  SequenceId add(Sequence sequence);
  /// As add, for a sequence whose state `open` makes.
  template <class Open>
  SequenceId add_opened(std::vector<TokenId> tokens, Open open) {
    Sequence sequence{-1, std::move(tokens)};
    sequence.state = open();
    const std::int32_t state = sequence.state;
    try {
      return add(std::move(sequence));
    } catch (...) {
      states.close(state);
      throw;
    }
  }

  std::shared_ptr<const Executable> executable;
  std::uint32_t number;  ///< of this session in the process
  std::unique_ptr<internal::Runner> runner;
  internal::GroupedStates states;
  std::map<std::int32_t, Sequence> sequences;
  std::int32_t next_id = 0;
  Tap tap;
  internal::TapRequest tap_request;  ///< what of it is asked of the device
};

}  // namespace ingot
