// Page accounting: no page is lost, shared pages are copied before they are written, a full cache
// is refused without changing anything.
#include "src/state/paged_states.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "ingot/error.hpp"
#include "src/program/step.hpp"

namespace ingot::internal {
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
  states.begin(sequence);
  states.reserve(sequence, 2 * kPageTokens);
  states.undo(sequence);
  EXPECT_EQ(states.position(sequence), 10);
  EXPECT_EQ(states.free_pages(), 3);
}

// Pages that the next row cannot see are given back, but for the reserve.
TEST(PagedStates, AWindowGivesBackWhatNoLaterRowSees) {
  constexpr std::int64_t kWindow = 100;
  PagedStates states(20, kWindow);
  const auto sequence = states.open();
  append(states, sequence, 10 * kPageTokens);
  append(states, sequence, 1);
  // Rows from 640 on see 541 on; the reserve of 64 adds 477 on: page 7.
  const auto pages = states.pages(sequence);
  ASSERT_EQ(pages.size(), 11U);
  for (std::size_t i = 0; i < 11; ++i) EXPECT_EQ(pages[i] == kNoPage, i < 7) << i;
  EXPECT_EQ(states.free_pages(), 16);
  states.close(sequence);
  EXPECT_EQ(states.free_pages(), 20);
}

TEST(PagedStates, AWindowRewindsByItsReserveOrToNothing) {
  PagedStates states(20, 100);
  const auto sequence = states.open();
  append(states, sequence, 640);
  append(states, sequence, 40);
  EXPECT_EQ(states.restorable(sequence, 680 - kRollbackTokens), 680 - kRollbackTokens);
  EXPECT_EQ(states.rewind(sequence, 640), 640);
  EXPECT_EQ(states.restorable(sequence, 300), 0) << "what position 300 sees is gone";
  append(states, sequence, 1);
  EXPECT_EQ(states.rewind(sequence, 300), 0);
  EXPECT_EQ(states.free_pages(), 20);
  append(states, sequence, 64);
  EXPECT_EQ(states.rewind(sequence, 3), 3) << "a short sequence has everything";
}

// A request of many steps that fails must find its begin again, without keeping what lies between.
TEST(PagedStates, AWindowKeepsWhatItsCheckpointNeeds) {
  constexpr std::int64_t kWindow = 70;
  PagedStates states(most_pages({kWindow}, 100000, 32), kWindow);
  const auto sequence = states.open();
  append(states, sequence, 300);
  const std::vector<std::int32_t> before(states.pages(sequence).begin(),
                                         states.pages(sequence).end());
  states.begin(sequence);
  for (int i = 0; i < 40; ++i) append(states, sequence, 32);
  states.undo(sequence);
  EXPECT_EQ(states.position(sequence), 300);
  const auto after = states.pages(sequence);
  ASSERT_EQ(after.size(), before.size());
  for (auto i = static_cast<std::size_t>(states.first_visible_page(300)); i < before.size(); ++i) {
    EXPECT_EQ(after[i], before[i]) << i;
  }
  states.begin(sequence);
  for (int i = 0; i < 40; ++i) append(states, sequence, 32);
  states.end(sequence);
  EXPECT_EQ(states.restorable(sequence, 300), 0);
}

TEST(PagedStates, ASequenceOpenedAtAPositionHasWhatItsNextRowSees) {
  PagedStates full(20);
  EXPECT_EQ(full.pages(full.open_at(130)).size(), 3U);
  EXPECT_EQ(full.free_pages(), 17);
  PagedStates window(5, 10);
  const auto sequence = window.open_at(600);
  EXPECT_EQ(window.position(sequence), 600);
  EXPECT_EQ(window.free_pages(), 4) << "590 is on the last page";
  EXPECT_EQ(window.restorable(sequence, 600), 600);
  PagedStates small(2);
  EXPECT_THROW(small.open_at(200), Error);
  EXPECT_EQ(small.free_pages(), 2);
}

// What the memory plan promises: sequences that stay within it never run out of pages, whatever
// they do, and every page that a row sees is there.
TEST(PagedStates, RandomUseOfWindowsStaysWithinThePlan) {
  constexpr std::int64_t kContext = 3000;
  constexpr std::int64_t kSequences = 4;
  for (const std::int64_t window : {1, 13, 64, 65, 500, 5000}) {
    for (const std::int64_t step : {1, 32, 200}) {
      const std::int64_t count = most_pages({window}, kContext, step) * kSequences;
      PagedStates states(count, window);
      std::mt19937 random(3);
      std::vector<std::int32_t> open;
      for (int i = 0; i < 1500; ++i) {
        const auto which = open.empty() ? 0 : random() % open.size();
        switch (open.empty() ? 0 : random() % 8) {
          case 0:
            if (open.size() < kSequences) open.push_back(states.open());
            break;
          case 1:
            if (open.size() < kSequences) open.push_back(states.fork(open[which]));
            break;
          case 2: {
            const auto back = static_cast<std::int64_t>(random() % 100);
            const std::int64_t to = std::max<std::int64_t>(0, states.position(open[which]) - back);
            const std::int64_t restored = states.rewind(open[which], to);
            EXPECT_TRUE(restored == to || restored == 0);
            break;
          }
          case 3:
            states.close(open[which]);
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
            break;
          default: {  // a request of several steps, which may fail
            const auto sequence = open[which];
            const std::int64_t begin = states.position(sequence);
            const bool fails = random() % 4 == 0;
            states.begin(sequence);
            for (auto left = static_cast<std::int64_t>(random() % 800); left > 0;) {
              const std::int64_t rows =
                  std::min({left, step, kContext - states.position(sequence)});
              if (rows == 0) break;
              ASSERT_NO_THROW(states.reserve(sequence, rows));
              const std::int64_t at = states.position(sequence);
              const auto pages = states.pages(sequence);
              for (std::int64_t p = states.first_visible_page(at); p < pages_for(at + rows); ++p) {
                ASSERT_NE(pages[static_cast<std::size_t>(p)], kNoPage);
              }
              states.commit(sequence, rows);
              left -= rows;
            }
            if (fails) {
              states.undo(sequence);
              EXPECT_EQ(states.position(sequence), begin);
              EXPECT_EQ(states.restorable(sequence, begin), begin);
            } else {
              states.end(sequence);
            }
          }
        }
      }
      for (const auto sequence : open) states.close(sequence);
      EXPECT_EQ(states.free_pages(), count);
    }
  }
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
}  // namespace ingot::internal
