// Groups of states that can restore different positions, and pages under reservations that are
// cancelled.
#include "src/state/grouped_states.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "ingot/error.hpp"
#include "src/state/paged_states.hpp"

namespace ingot::internal {
namespace {

// A recurrent kind: one block per sequence, which can go back to a checkpoint or to nothing.
class Recurrent final : public SequenceStates {
 public:
  std::int32_t open() override {
    sequences_[next_] = {};
    return next_++;
  }
  std::int32_t open_at(std::int64_t position) override {
    const std::int32_t sequence = open();
    sequences_[sequence].position = position;
    return sequence;
  }
  void close(std::int32_t sequence) override { sequences_.erase(sequence); }
  std::int64_t position(std::int32_t sequence) const override {
    return sequences_.at(sequence).position;
  }
  std::vector<PageCopy> reserve(std::int32_t, std::int64_t) override { return {}; }
  void commit(std::int32_t sequence, std::int64_t rows) override {
    sequences_.at(sequence).position += rows;
  }
  void cancel(std::int32_t) override {}
  std::int32_t fork(std::int32_t sequence) override {
    sequences_[next_] = sequences_.at(sequence);
    return next_++;
  }
  std::int64_t restorable(std::int32_t sequence, std::int64_t to) const override {
    const Sequence& s = sequences_.at(sequence);
    if (to >= s.position) return s.position;
    std::int64_t best = 0;
    for (const std::int64_t kept : s.kept) {
      if (kept <= to) best = std::max(best, kept);
    }
    return best;
  }
  std::int64_t rewind(std::int32_t sequence, std::int64_t to) override {
    Sequence& s = sequences_.at(sequence);
    s.position = restorable(sequence, to);
    std::erase_if(s.kept, [&](std::int64_t kept) { return kept > s.position; });
    return s.position;
  }
  std::vector<PageCopy> checkpoint(std::int32_t sequence) override {
    Sequence& s = sequences_.at(sequence);
    s.kept.push_back(s.position);
    return {{sequence, 100 + sequence}};
  }
  void begin(std::int32_t) override {}
  void end(std::int32_t) override {}
  void undo(std::int32_t) override {}
  std::span<const std::int32_t> pages(std::int32_t) const override { return block_; }
  Range visible_pages(std::int64_t) const override { return {0, 1}; }
  std::int64_t free_pages() const override { return 10; }
  std::int64_t pages_needed(std::int32_t, std::int64_t) const override { return 0; }

 private:
  struct Sequence {
    std::int64_t position = 0;
    std::vector<std::int64_t> kept;
  };
  std::map<std::int32_t, Sequence> sequences_;
  std::int32_t next_ = 0;
  std::vector<std::int32_t> block_{0};
};

GroupedStates mixed(std::int64_t window) {
  std::vector<std::unique_ptr<SequenceStates>> groups;
  groups.push_back(std::make_unique<PagedStates>(40));
  groups.push_back(std::make_unique<PagedStates>(40, window));
  groups.push_back(std::make_unique<Recurrent>());
  return GroupedStates(std::move(groups));
}

void append(GroupedStates& states, std::int32_t sequence, std::int64_t rows) {
  states.begin(sequence);
  states.reserve(sequence, rows);
  states.commit(sequence, rows);
  states.end(sequence);
}

TEST(GroupedStates, ARewindGoesWhereEveryGroupCan) {
  GroupedStates states = mixed(1000);
  const auto sequence = states.open();
  append(states, sequence, 70);
  EXPECT_EQ(states.checkpoint(sequence).size(), 1U) << "the block is copied";
  append(states, sequence, 50);
  EXPECT_EQ(states.restorable(sequence, 100), 70);
  EXPECT_EQ(states.rewind(sequence, 100), 70);
  for (std::int32_t g = 0; g < 3; ++g) EXPECT_EQ(states.group(g).position(sequence), 70) << g;
  EXPECT_EQ(states.rewind(sequence, 69), 0);
  for (std::int32_t g = 0; g < 3; ++g) EXPECT_EQ(states.group(g).position(sequence), 0) << g;
}

// A checkpoint is of no use where a window has left what it sees.
TEST(GroupedStates, WhatOneGroupRestoresAnotherMayNot) {
  GroupedStates states = mixed(10);
  const auto sequence = states.open();
  append(states, sequence, 70);
  states.checkpoint(sequence);
  append(states, sequence, 500);
  append(states, sequence, 1);
  EXPECT_EQ(states.rewind(sequence, 300), 0);
}

TEST(PagedStatesReservation, CancelledItLeavesNoTrace) {
  PagedStates states(6);
  const auto first = states.open();
  states.reserve(first, 70);
  states.commit(first, 70);
  const auto second = states.fork(first);
  const auto shared = states.pages(first)[1];
  ASSERT_EQ(states.reserve(second, 80).size(), 1U);
  EXPECT_EQ(states.pages(second).size(), 3U);
  states.cancel(second);
  EXPECT_EQ(states.pages(second).size(), 2U);
  EXPECT_EQ(states.pages(second)[1], shared);
  EXPECT_EQ(states.free_pages(), 4);
  EXPECT_EQ(states.reserve(first, 1).size(), 1U) << "it is shared again";
}

// Both copies of a fork write in one step: one copies, the other writes in place. That must not be
// done over positions that the first would need back.
TEST(PagedStatesReservation, TheLastOwnerWritesInPlaceOnlyBehindWhatOthersHold) {
  PagedStates states(8);
  const auto first = states.open();
  states.reserve(first, 40);
  states.commit(first, 40);
  const auto second = states.fork(first);
  EXPECT_EQ(states.reserve(second, 1).size(), 1U);
  EXPECT_TRUE(states.reserve(first, 1).empty());
  states.commit(second, 1);
  states.commit(first, 1);

  const auto third = states.fork(first);  // at 41
  states.rewind(first, 10);
  EXPECT_EQ(states.reserve(third, 1).size(), 1U);
  EXPECT_EQ(states.reserve(first, 5).size(), 1U) << "third has positions 10 to 40 there";
  states.cancel(third);
  states.cancel(first);
  for (const auto sequence : {first, second, third}) states.close(sequence);
  EXPECT_EQ(states.free_pages(), 8);
}

TEST(PagedStatesReservation, AFullCacheIsSeenBeforeItIsAsked) {
  PagedStates states(2);
  const auto first = states.open();
  states.reserve(first, 64);
  states.commit(first, 64);
  EXPECT_EQ(states.pages_needed(first, 64), 1);
  EXPECT_EQ(states.pages_needed(first, 65), 2);
  const auto second = states.fork(first);
  EXPECT_EQ(states.pages_needed(second, 1), 1);
  states.rewind(second, 60);
  EXPECT_EQ(states.pages_needed(second, 1), 1) << "a copy of its own";
}

}  // namespace
}  // namespace ingot::internal
