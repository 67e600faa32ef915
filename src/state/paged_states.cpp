#include "src/state/paged_states.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "ingot/error.hpp"

namespace ingot::internal {

std::int64_t most_pages(const StateGroup& group, std::int64_t context, std::int64_t largest_step) {
  const std::int64_t all = pages_for(context);
  if (group.window == 0) return all;
  // A stretch of n positions that begins anywhere in a page touches pages_for(n) + 1 pages at most.
  const std::int64_t kept = group.window - 1 + kRollbackTokens;
  return std::min(all, pages_for(kept + std::min(largest_step, context)) + 1 + pages_for(kept) + 1);
}

PagedStates::PagedStates(std::int64_t page_count, std::int64_t window) : window_(window) {
  constexpr std::int64_t kMostPages = std::numeric_limits<std::int32_t>::max();
  if (page_count > kMostPages) {
    fail(ErrorCode::out_of_memory, "a cache of ", page_count, " pages of ", kPageTokens,
         " positions was asked for, and at most ", kMostPages,
         " can be numbered; ask for a smaller context or fewer sequences");
  }
  owners_.assign(static_cast<std::size_t>(page_count), 0);
  leaving_.assign(static_cast<std::size_t>(page_count), {});
  for (std::int64_t page = page_count; page-- > 0;)
    free_.push_back(static_cast<std::int32_t>(page));
}

std::int32_t PagedStates::open() {
  const auto unused =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return !s.open; });
  const auto index = static_cast<std::int32_t>(unused - sequences_.begin());
  if (unused == sequences_.end()) sequences_.emplace_back();
  at(index) = {};
  at(index).open = true;
  return index;
}

std::int32_t PagedStates::open_at(std::int64_t position) {
  const std::int64_t first = first_visible_page(position);
  const std::int64_t count = pages_for(position);
  if (count - first > free_pages()) refuse(count - first);
  std::vector<std::int32_t> pages(static_cast<std::size_t>(count), kNoPage);
  const std::int32_t index = open();
  Sequence& s = at(index);
  s.position = position;
  s.pages = std::move(pages);
  for (std::int64_t i = first; i < count; ++i) s.pages[static_cast<std::size_t>(i)] = take_page();
  return index;
}

void PagedStates::close(std::int32_t sequence) {
  cancel(sequence);
  keep_pages(at(sequence), 0);
  at(sequence) = {};
}

std::int64_t PagedStates::position(std::int32_t sequence) const {
  return at(sequence).position;
}

std::int32_t PagedStates::take_page() {
  const std::int32_t page = free_.back();
  free_.pop_back();
  owners_[static_cast<std::size_t>(page)] = 1;
  return page;
}

void PagedStates::drop_page(std::int32_t page) {
  if (page == kNoPage) return;
  if (--owners_[static_cast<std::size_t>(page)] == 0) free_.push_back(page);
}

void PagedStates::keep_pages(Sequence& sequence, std::int64_t count) {
  while (static_cast<std::int64_t>(sequence.pages.size()) > count) {
    drop_page(sequence.pages.back());
    sequence.pages.pop_back();
  }
}

std::int64_t PagedStates::first_visible_page(std::int64_t position) const {
  if (window_ == 0) return 0;
  return std::max<std::int64_t>(0, position - window_ + 1) / kPageTokens;
}

std::int64_t PagedStates::first_kept_page(std::int64_t position) const {
  return first_visible_page(std::max<std::int64_t>(0, position - kRollbackTokens));
}

// Gives back the pages that neither later rows nor undo need.
void PagedStates::drop_unseen(Sequence& sequence) {
  const std::int64_t end = std::min(first_kept_page(sequence.position),
                                    static_cast<std::int64_t>(sequence.pages.size()));
  const bool pinned = sequence.began >= 0;
  const std::int64_t pin_begin = pinned ? first_kept_page(sequence.began) : 0;
  const std::int64_t pin_end = pinned ? pages_for(sequence.began) : 0;
  for (std::int64_t i = 0; i < end; ++i) {
    if (i >= pin_begin && i < pin_end) continue;
    std::int32_t& page = sequence.pages[static_cast<std::size_t>(i)];
    drop_page(page);
    page = kNoPage;
  }
}

void PagedStates::refuse(std::int64_t needed) const {
  fail(ErrorCode::out_of_memory, "the cache is full: ", needed, " more pages of ", kPageTokens,
       " positions are needed, ", free_pages(), " of ", owners_.size(),
       " are free; close or rewind a sequence, or load with a larger context or more cache "
       "positions");
}

// Whether the sequence may not write to a page that it holds. The last owner writes in place, also
// when the others only leave with their reservations: should these be cancelled, what they see of
// the page must still be there.
bool PagedStates::must_copy(const Sequence& sequence, std::int32_t page) const {
  const auto index = static_cast<std::size_t>(page);
  if (owners_[index] - leaving_[index].count > 1) return true;
  return leaving_[index].count > 0 && leaving_[index].position > sequence.position;
}

// Entries that a reservation of `rows` writes to and that are shared. Only the last, partly filled
// page can be both held and written to.
std::vector<std::int64_t> PagedStates::shared_pages(const Sequence& sequence,
                                                    std::int64_t rows) const {
  std::vector<std::int64_t> shared;
  const auto held = static_cast<std::int64_t>(sequence.pages.size());
  for (std::int64_t i = sequence.position / kPageTokens; rows > 0 && i < held; ++i) {
    if (must_copy(sequence, sequence.pages[static_cast<std::size_t>(i)])) shared.push_back(i);
  }
  return shared;
}

std::int64_t PagedStates::pages_needed(std::int32_t sequence, std::int64_t rows) const {
  const Sequence& s = at(sequence);
  const std::int64_t more =
      pages_for(s.position + rows) - static_cast<std::int64_t>(s.pages.size());
  return std::max<std::int64_t>(0, more) + std::ssize(shared_pages(s, rows));
}

std::vector<PageCopy> PagedStates::reserve(std::int32_t sequence, std::int64_t rows) {
  cancel(sequence);
  Sequence& s = at(sequence);
  drop_unseen(s);
  const std::int64_t needed = pages_needed(sequence, rows);
  if (needed > free_pages()) refuse(needed);
  const std::int64_t wanted = pages_for(s.position + rows);
  const std::vector<std::int64_t> shared = shared_pages(s, rows);
  // Room for everything first: memory that runs out half-way must not cost a page.
  std::vector<PageCopy> copies;
  copies.reserve(shared.size());
  s.replaced.reserve(shared.size());
  s.pages.reserve(static_cast<std::size_t>(std::max<std::int64_t>(wanted, std::ssize(s.pages))));
  s.held = std::ssize(s.pages);
  for (const std::int64_t i : shared) {
    std::int32_t& page = s.pages[static_cast<std::size_t>(i)];
    const std::int32_t own = take_page();
    copies.push_back({page, own});
    s.replaced.push_back({i, page});
    Leaving& leaving = leaving_[static_cast<std::size_t>(page)];
    ++leaving.count;
    leaving.position = std::max(leaving.position, s.position);
    page = own;
  }
  while (std::ssize(s.pages) < wanted) s.pages.push_back(take_page());
  return copies;
}

// The reservation is over: nobody leaves its shared pages any more.
void PagedStates::end_reservation(Sequence& sequence) {
  for (const Replaced& replaced : sequence.replaced) {
    Leaving& leaving = leaving_[static_cast<std::size_t>(replaced.shared)];
    if (--leaving.count == 0) leaving.position = 0;
  }
  sequence.replaced.clear();
  sequence.held = -1;
}

void PagedStates::commit(std::int32_t sequence, std::int64_t rows) {
  Sequence& s = at(sequence);
  s.position += rows;
  for (const Replaced& replaced : s.replaced) drop_page(replaced.shared);
  end_reservation(s);
}

void PagedStates::cancel(std::int32_t sequence) {
  Sequence& s = at(sequence);
  if (s.held < 0) return;
  keep_pages(s, s.held);
  for (const Replaced& replaced : s.replaced) {
    std::int32_t& page = s.pages[static_cast<std::size_t>(replaced.index)];
    drop_page(page);
    page = replaced.shared;
  }
  end_reservation(s);
}

std::int32_t PagedStates::fork(std::int32_t sequence) {
  const std::int64_t position = at(sequence).position;
  const auto held = at(sequence).pages.begin();
  std::vector<std::int32_t> pages(held, held + pages_for(position));  // whatever throws throws here
  const std::int32_t copy = open();
  Sequence& to = at(copy);
  to.position = position;
  to.pages = std::move(pages);
  for (const std::int32_t page : to.pages) {
    if (page != kNoPage) ++owners_[static_cast<std::size_t>(page)];
  }
  return copy;
}

std::int64_t PagedStates::restorable(std::int32_t sequence, std::int64_t to) const {
  const Sequence& s = at(sequence);
  const std::int64_t position = std::min(s.position, to);
  // Everything that a row behind `position` sees must still be there. If it is not, no earlier
  // position but the empty sequence has all it needs either: pages go from the front.
  for (std::int64_t i = first_visible_page(position); i < pages_for(position); ++i) {
    if (s.pages[static_cast<std::size_t>(i)] == kNoPage) return 0;
  }
  return position;
}

std::int64_t PagedStates::rewind(std::int32_t sequence, std::int64_t to) {
  Sequence& s = at(sequence);
  s.position = restorable(sequence, to);
  keep_pages(s, pages_for(s.position));
  return s.position;
}

void PagedStates::begin(std::int32_t sequence) {
  at(sequence).began = at(sequence).position;
}

void PagedStates::end(std::int32_t sequence) {
  at(sequence).began = -1;
  drop_unseen(at(sequence));
}

void PagedStates::undo(std::int32_t sequence) {
  cancel(sequence);
  Sequence& s = at(sequence);
  s.position = s.began;
  s.began = -1;
  keep_pages(s, pages_for(s.position));
}

Range PagedStates::visible_pages(std::int64_t position) const {
  return {first_visible_page(position), pages_for(position)};
}

std::span<const std::int32_t> PagedStates::pages(std::int32_t sequence) const {
  return at(sequence).pages;
}

}  // namespace ingot::internal
