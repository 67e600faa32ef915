// A sequence is a list of pages; forks share pages and copy one when they write to it. Full and
// latent states keep every page. States with a window give back the pages that no later row can
// see: those before the window of the next row and a reserve for rewinding.
#pragma once

#include <vector>

#include "src/program/operands.hpp"
#include "src/program/step.hpp"
#include "src/state/sequence_states.hpp"

namespace ingot::internal {

/// Positions that a windowed state keeps beyond its window, so that a sequence can be rewound by as
/// many without computing it anew: what speculative decoding rejects, the end of a chat turn.
inline constexpr std::int64_t kRollbackTokens = 64;

/// Pages that hold `positions` positions from a page's begin.
constexpr std::int64_t pages_for(std::int64_t positions) {
  return (positions + kPageTokens - 1) / kPageTokens;
}

/// The most pages of a group that one sequence of at most `context` positions holds when steps
/// append at most `largest_step`. With a window: window, reserve and step, and once more window and
/// reserve for the checkpoint of a request that takes several steps.
std::int64_t most_pages(const StateGroup& group, std::int64_t context, std::int64_t largest_step);

class PagedStates final : public SequenceStates {
 public:
  /// `window` 0: every position is kept.
  explicit PagedStates(std::int64_t page_count, std::int64_t window = 0);

  std::int32_t open() override;
  std::int32_t open_at(std::int64_t position) override;
  void close(std::int32_t sequence) override;
  std::int64_t position(std::int32_t sequence) const override;
  std::vector<PageCopy> reserve(std::int32_t sequence, std::int64_t rows) override;
  void commit(std::int32_t sequence, std::int64_t rows) override;
  void cancel(std::int32_t sequence) override;
  std::int32_t fork(std::int32_t sequence) override;
  std::int64_t restorable(std::int32_t sequence, std::int64_t to) const override;
  std::int64_t rewind(std::int32_t sequence, std::int64_t to) override;
  void begin(std::int32_t sequence) override;
  void end(std::int32_t sequence) override;
  void undo(std::int32_t sequence) override;
  std::span<const std::int32_t> pages(std::int32_t sequence) const override;
  Range visible_pages(std::int64_t position) const override;
  std::int64_t free_pages() const override { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t pages_needed(std::int32_t sequence, std::int64_t rows) const override;

  /// The first page that a row behind `position` positions can see.
  std::int64_t first_visible_page(std::int64_t position) const;

 private:
  // A shared page whose place a reservation gave to a page of the sequence's own.
  struct Replaced {
    std::int64_t index = 0;
    std::int32_t shared = 0;
  };
  struct Sequence {
    bool open = false;
    std::int64_t position = 0;
    std::int64_t began = -1;          // position at begin(), or -1: not begun
    std::int64_t held = -1;           // pages before the reservation, or -1: none is made
    std::vector<Replaced> replaced;   // by the reservation
    std::vector<std::int32_t> pages;  // reserved ones included
  };
  // Sequences that leave a page when their reservations are committed. Until then its contents up
  // to `position` may be needed again.
  struct Leaving {
    std::int32_t count = 0;
    std::int64_t position = 0;
  };

  Sequence& at(std::int32_t sequence) { return sequences_[static_cast<std::size_t>(sequence)]; }
  const Sequence& at(std::int32_t sequence) const {
    return sequences_[static_cast<std::size_t>(sequence)];
  }
  std::int32_t take_page();
  void drop_page(std::int32_t page);
  void keep_pages(Sequence& sequence, std::int64_t count);
  void end_reservation(Sequence& sequence);
  bool must_copy(const Sequence& sequence, std::int32_t page) const;
  std::vector<std::int64_t> shared_pages(const Sequence& sequence, std::int64_t rows) const;
  void drop_unseen(Sequence& sequence);
  std::int64_t first_kept_page(std::int64_t position) const;
  [[noreturn]] void refuse(std::int64_t needed) const;

  std::int64_t window_;
  std::vector<Sequence> sequences_;
  std::vector<std::int32_t> owners_;  // per page: sequences that hold it, leaving ones included
  std::vector<Leaving> leaving_;      // per page
  std::vector<std::int32_t> free_;    // a stack, lowest page on top
};

}  // namespace ingot::internal
