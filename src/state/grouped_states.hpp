// The states of a session: one SequenceStates per state group of its program, kept at the same
// positions. A sequence has the same number in all of them.
#pragma once

#include <memory>
#include <vector>

#include "src/program/program.hpp"
#include "src/program/step.hpp"
#include "src/state/sequence_states.hpp"

namespace ingot::internal {

class GroupedStates {
 public:
  /// `page_counts`: pages of each group.
  GroupedStates(std::span<const StateGroup> groups, std::span<const std::int64_t> page_counts);
  /// Groups of any kind, at least one; the first keeps every position.
  explicit GroupedStates(std::vector<std::unique_ptr<SequenceStates>> groups);

  std::int32_t open();
  std::int32_t open_at(std::int64_t position);
  void close(std::int32_t sequence);
  std::int64_t position(std::int32_t sequence) const;
  /// As SequenceStates::reserve for every group. After an Error no group holds a reservation.
  std::vector<GroupPageCopy> reserve(std::int32_t sequence, std::int64_t rows);
  void commit(std::int32_t sequence, std::int64_t rows);
  void cancel(std::int32_t sequence);
  std::int32_t fork(std::int32_t sequence);
  /// The largest position, at most `to`, that every group can restore.
  std::int64_t restorable(std::int32_t sequence, std::int64_t to) const;
  /// Brings every group to restorable(to), which it returns.
  std::int64_t rewind(std::int32_t sequence, std::int64_t to);
  std::vector<GroupPageCopy> checkpoint(std::int32_t sequence);
  void begin(std::int32_t sequence);
  void end(std::int32_t sequence);
  void undo(std::int32_t sequence);

  std::int32_t group_count() const { return static_cast<std::int32_t>(groups_.size()); }
  const SequenceStates& group(std::int32_t index) const {
    return *groups_[static_cast<std::size_t>(index)];
  }

 private:
  /// One number in all groups, or none opened if one of them throws.
  template <class Open>
  std::int32_t open_in_all(Open open);

  std::vector<std::unique_ptr<SequenceStates>> groups_;
};

}  // namespace ingot::internal
