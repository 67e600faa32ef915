// Page accounting: no page is lost, shared pages are copied before they are written, a full cache
// is refused without changing anything.
#include "src/state/paged_states.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "ingot/error.hpp"
#include "src/program/step.hpp"

namespace ingot {
namespace {

void append(PagedStates& states, std::int32_t sequence, std::int64_t rows) {
  states.reserve(sequence, rows);
  states.commit(sequence, rows);
}

TEST(PagedStates, PagesAreTakenAsPositionsCrossTheirBorders) {
  PagedStates states(4);
  const auto sequence = states.open();
  append(states, sequence, 1);
  EXPECT_EQ(states.pages(sequence).size(), 1U);
  append(states, sequence, kPageTokens - 1);
  EXPECT_EQ(states.pages(sequence).size(), 1U);
  append(states, sequence, 1);
  EXPECT_EQ(states.pages(sequence).size(), 2U);
  EXPECT_EQ(states.free_pages(), 2);
  states.close(sequence);
  EXPECT_EQ(states.free_pages(), 4);
}

TEST(PagedStates, AForkCopiesOnlyThePageItWritesTo) {
  PagedStates states(8);
  const auto first = states.open();
  append(states, first, 2 * kPageTokens + 10);
  const auto second = states.fork(first);
  EXPECT_EQ(states.free_pages(), 5) << "a fork must not take pages";
  const auto shared_tail = states.pages(first)[2];
  const auto copies = states.reserve(second, 1);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0].from, shared_tail);
  EXPECT_EQ(copies[0].to, states.pages(second)[2]);
  EXPECT_EQ(states.pages(first)[2], shared_tail);
  EXPECT_EQ(states.pages(first)[1], states.pages(second)[1]);
  EXPECT_TRUE(states.reserve(first, 1).empty()) << "the last owner writes in place";
}

TEST(PagedStates, AForkAtAPageBorderCopiesNothing) {
  PagedStates states(4);
  const auto first = states.open();
  append(states, first, kPageTokens);
  const auto second = states.fork(first);
  EXPECT_TRUE(states.reserve(second, 5).empty());
  EXPECT_EQ(states.pages(first).size(), 1U);
}

TEST(PagedStates, AFullCacheIsRefusedAndNothingChanges) {
  PagedStates states(2);
  const auto first = states.open();
  append(states, first, kPageTokens + 1);
  const auto second = states.fork(first);
  EXPECT_THROW(states.reserve(second, 1), Error) << "copying the shared page needs a third one";
  EXPECT_THROW(states.reserve(first, kPageTokens), Error);
  EXPECT_EQ(states.position(first), kPageTokens + 1);
  EXPECT_EQ(states.pages(first).size(), 2U);
  EXPECT_EQ(states.pages(second).size(), 2U);
  states.close(first);
  EXPECT_TRUE(states.reserve(second, 1).empty());
}

TEST(PagedStates, RestoreUndoesAReservation) {
  PagedStates states(4);
  const auto sequence = states.open();
  append(states, sequence, 10);
  const Checkpoint before = states.checkpoint(sequence);
  states.reserve(sequence, 2 * kPageTokens);
  states.restore(sequence, before);
  EXPECT_EQ(states.position(sequence), 10);
  EXPECT_EQ(states.free_pages(), 3);
}

// Whatever is done, every page is either free or owned, and no two sequences write to one page.
TEST(PagedStates, RandomUseLosesNoPage) {
  constexpr std::int64_t kPages = 40;
  PagedStates states(kPages);
  std::mt19937 random(7);
  std::vector<std::int32_t> open;
  for (int i = 0; i < 5000; ++i) {
    const auto pick = [&] { return open[random() % open.size()]; };
    switch (open.empty() ? 0 : random() % 6) {
      case 0:
        if (open.size() < 8) open.push_back(states.open());
        break;
      case 1:
        if (open.size() < 8) open.push_back(states.fork(pick()));
        break;
      case 2: states.rewind(pick(), static_cast<std::int64_t>(random() % 300)); break;
      case 3: {
        const auto which = random() % open.size();
        states.close(open[which]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      }
      default:
        try {
          const auto sequence = pick();
          const auto rows = static_cast<std::int64_t>(random() % 100 + 1);
          states.reserve(sequence, rows);
          const auto written = states.pages(
              sequence)[static_cast<std::size_t>(states.position(sequence) / kPageTokens)];
          for (const auto other : open) {
            if (other == sequence) continue;
            const auto pages = states.pages(other);
            EXPECT_EQ(std::count(pages.begin(), pages.end(), written), 0);
          }
          states.commit(sequence, rows);
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
        }
    }
    std::set<std::int32_t> owned;
    for (const auto sequence : open) {
      const auto pages = states.pages(sequence);
      owned.insert(pages.begin(), pages.end());
    }
    ASSERT_EQ(static_cast<std::int64_t>(owned.size()) + states.free_pages(), kPages);
  }
}

}  // namespace
}  // namespace ingot
