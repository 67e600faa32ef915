// The states of a session: one PagedStates per state group of its program, kept at the same
// positions. A sequence has the same number in all of them.
#pragma once

#include <vector>

#include "src/state/paged_states.hpp"

namespace ingot::internal {

/// A page to copy, and the group whose page it is.
struct GroupPageCopy {
  std::int32_t group = 0;
  PageCopy copy;
};

class GroupedStates {
 public:
  /// `page_counts`: pages of each group.
  GroupedStates(std::span<const StateGroup> groups, std::span<const std::int64_t> page_counts);

  std::int32_t open();
  std::int32_t open_at(std::int64_t position);
  void close(std::int32_t sequence);
  std::int64_t position(std::int32_t sequence) const;
  /// As SequenceStates::reserve for every group. After an Error some groups may hold a reservation:
  /// restore undoes it.
  std::vector<GroupPageCopy> reserve(std::int32_t sequence, std::int64_t rows);
  void commit(std::int32_t sequence, std::int64_t rows);
  std::int32_t fork(std::int32_t sequence);
  /// The position that every group could restore.
  std::int64_t rewind(std::int32_t sequence, std::int64_t to);
  void checkpoint(std::int32_t sequence);
  void release(std::int32_t sequence);
  void restore(std::int32_t sequence);

  std::int32_t group_count() const { return static_cast<std::int32_t>(groups_.size()); }
  const PagedStates& group(std::int32_t index) const {
    return groups_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<PagedStates> groups_;
};

}  // namespace ingot::internal
