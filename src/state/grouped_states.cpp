#include "src/state/grouped_states.hpp"

#include "src/state/paged_states.hpp"

namespace ingot::internal {
namespace {

void append(std::vector<GroupPageCopy>& all, std::size_t group,
            const std::vector<PageCopy>& copies) {
  for (const PageCopy& copy : copies) {
    all.push_back({static_cast<std::int32_t>(group), copy.from, copy.to});
  }
}

}  // namespace

GroupedStates::GroupedStates(std::span<const StateGroup> groups,
                             std::span<const std::int64_t> page_counts) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    groups_.push_back(std::make_unique<PagedStates>(page_counts[g], groups[g].window));
  }
}

GroupedStates::GroupedStates(std::vector<std::unique_ptr<SequenceStates>> groups)
    : groups_(std::move(groups)) {}

template <class Open>
std::int32_t GroupedStates::open_in_all(Open open) {
  std::int32_t sequence = -1;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    try {
      sequence = open(*groups_[g]);
    } catch (...) {
      for (std::size_t opened = 0; opened < g; ++opened) groups_[opened]->close(sequence);
      throw;
    }
  }
  return sequence;
}

std::int32_t GroupedStates::open() {
  return open_in_all([](SequenceStates& group) { return group.open(); });
}

std::int32_t GroupedStates::open_at(std::int64_t position) {
  return open_in_all([position](SequenceStates& group) { return group.open_at(position); });
}

void GroupedStates::close(std::int32_t sequence) {
  for (const auto& group : groups_) group->close(sequence);
}

std::int64_t GroupedStates::position(std::int32_t sequence) const {
  return groups_.front()->position(sequence);
}

std::vector<GroupPageCopy> GroupedStates::reserve(std::int32_t sequence, std::int64_t rows) {
  std::vector<GroupPageCopy> copies;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    try {
      append(copies, g, groups_[g]->reserve(sequence, rows));
    } catch (...) {
      for (std::size_t reserved = 0; reserved <= g; ++reserved) groups_[reserved]->cancel(sequence);
      throw;
    }
  }
  return copies;
}

void GroupedStates::commit(std::int32_t sequence, std::int64_t rows) {
  for (const auto& group : groups_) group->commit(sequence, rows);
}

void GroupedStates::cancel(std::int32_t sequence) {
  for (const auto& group : groups_) group->cancel(sequence);
}

std::int32_t GroupedStates::fork(std::int32_t sequence) {
  return open_in_all([sequence](SequenceStates& group) { return group.fork(sequence); });
}

std::int64_t GroupedStates::restorable(std::int32_t sequence, std::int64_t to) const {
  // What one group can restore another may not: go down until all agree. Positions only fall and
  // every group can restore 0, so this ends.
  for (std::int64_t before = -1; before != to;) {
    before = to;
    for (const auto& group : groups_) to = group->restorable(sequence, to);
  }
  return to;
}

std::int64_t GroupedStates::rewind(std::int32_t sequence, std::int64_t to) {
  to = restorable(sequence, to);
  for (const auto& group : groups_) group->rewind(sequence, to);
  return to;
}

std::vector<GroupPageCopy> GroupedStates::checkpoint(std::int32_t sequence) {
  std::vector<GroupPageCopy> copies;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    append(copies, g, groups_[g]->checkpoint(sequence));
  }
  return copies;
}

void GroupedStates::begin(std::int32_t sequence) {
  for (const auto& group : groups_) group->begin(sequence);
}

void GroupedStates::end(std::int32_t sequence) {
  for (const auto& group : groups_) group->end(sequence);
}

void GroupedStates::undo(std::int32_t sequence) {
  for (const auto& group : groups_) group->undo(sequence);
}

}  // namespace ingot::internal
