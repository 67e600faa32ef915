#include "src/state/grouped_states.hpp"

namespace ingot::internal {

GroupedStates::GroupedStates(std::span<const StateGroup> groups,
                             std::span<const std::int64_t> page_counts) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    groups_.emplace_back(page_counts[g], groups[g].window);
  }
}

std::int32_t GroupedStates::open() {
  std::int32_t sequence = -1;
  for (PagedStates& group : groups_) sequence = group.open();
  return sequence;
}

std::int32_t GroupedStates::open_at(std::int64_t position) {
  std::int32_t sequence = -1;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    try {
      sequence = groups_[g].open_at(position);
    } catch (...) {
      for (std::size_t opened = 0; opened < g; ++opened) groups_[opened].close(sequence);
      throw;
    }
  }
  return sequence;
}

void GroupedStates::close(std::int32_t sequence) {
  for (PagedStates& group : groups_) group.close(sequence);
}

std::int64_t GroupedStates::position(std::int32_t sequence) const {
  return groups_.front().position(sequence);
}

std::vector<GroupPageCopy> GroupedStates::reserve(std::int32_t sequence, std::int64_t rows) {
  std::vector<GroupPageCopy> copies;
  for (std::int32_t g = 0; g < group_count(); ++g) {
    for (const PageCopy& copy : groups_[static_cast<std::size_t>(g)].reserve(sequence, rows)) {
      copies.push_back({g, copy});
    }
  }
  return copies;
}

void GroupedStates::commit(std::int32_t sequence, std::int64_t rows) {
  for (PagedStates& group : groups_) group.commit(sequence, rows);
}

std::int32_t GroupedStates::fork(std::int32_t sequence) {
  std::int32_t copy = -1;
  for (PagedStates& group : groups_) copy = group.fork(sequence);
  return copy;
}

std::int64_t GroupedStates::rewind(std::int32_t sequence, std::int64_t to) {
  // A group that cannot go to `to` goes to 0, which every group can; so one pass finds the least.
  for (const PagedStates& group : groups_) to = group.restorable(sequence, to);
  for (PagedStates& group : groups_) group.rewind(sequence, to);
  return to;
}

void GroupedStates::checkpoint(std::int32_t sequence) {
  for (PagedStates& group : groups_) group.checkpoint(sequence);
}

void GroupedStates::release(std::int32_t sequence) {
  for (PagedStates& group : groups_) group.release(sequence);
}

void GroupedStates::restore(std::int32_t sequence) {
  for (PagedStates& group : groups_) group.restore(sequence);
}

}  // namespace ingot::internal
