#include "src/state/paged_states.hpp"

#include <algorithm>

#include "ingot/error.hpp"
#include "src/program/step.hpp"

namespace ingot {
namespace {

std::int64_t pages_for(std::int64_t positions) {
  return (positions + kPageTokens - 1) / kPageTokens;
}

}  // namespace

PagedStates::PagedStates(std::int64_t page_count) {
  owners_.assign(static_cast<std::size_t>(page_count), 0);
  for (std::int64_t page = page_count; page-- > 0;)
    free_.push_back(static_cast<std::int32_t>(page));
}

std::int32_t PagedStates::open() {
  const auto unused =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return !s.open; });
  const auto index = static_cast<std::int32_t>(unused - sequences_.begin());
  if (unused == sequences_.end()) sequences_.emplace_back();
  at(index) = {true, 0, {}};
  return index;
}

void PagedStates::close(std::int32_t sequence) {
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
  if (--owners_[static_cast<std::size_t>(page)] == 0) free_.push_back(page);
}

void PagedStates::keep_pages(Sequence& sequence, std::int64_t count) {
  while (static_cast<std::int64_t>(sequence.pages.size()) > count) {
    drop_page(sequence.pages.back());
    sequence.pages.pop_back();
  }
}

std::vector<PageCopy> PagedStates::reserve(std::int32_t sequence, std::int64_t rows) {
  Sequence& s = at(sequence);
  const std::int64_t wanted = pages_for(s.position + rows);
  const auto held = static_cast<std::int64_t>(s.pages.size());
  // Only the last, partly filled page can be both held and written to.
  const std::int64_t first_written = s.position / kPageTokens;
  std::vector<std::int64_t> shared;
  for (std::int64_t i = first_written; rows > 0 && i < held; ++i) {
    const std::int32_t page = s.pages[static_cast<std::size_t>(i)];
    if (owners_[static_cast<std::size_t>(page)] > 1) shared.push_back(i);
  }
  const std::int64_t needed =
      std::max<std::int64_t>(0, wanted - held) + static_cast<std::int64_t>(shared.size());
  if (needed > free_pages()) {
    fail(ErrorCode::out_of_memory, "the cache is full: ", needed, " more pages of ", kPageTokens,
         " positions are needed, ", free_pages(), " of ", owners_.size(),
         " are free; close or rewind a sequence, or load with a larger context");
  }
  std::vector<PageCopy> copies;
  for (const std::int64_t i : shared) {
    std::int32_t& page = s.pages[static_cast<std::size_t>(i)];
    const std::int32_t own = take_page();
    copies.push_back({page, own});
    drop_page(page);
    page = own;
  }
  while (static_cast<std::int64_t>(s.pages.size()) < wanted) s.pages.push_back(take_page());
  return copies;
}

void PagedStates::commit(std::int32_t sequence, std::int64_t rows) {
  at(sequence).position += rows;
}

std::int32_t PagedStates::fork(std::int32_t sequence) {
  const std::int32_t copy = open();
  const Sequence& from = at(sequence);
  Sequence& to = at(copy);
  to.position = from.position;
  to.pages.assign(from.pages.begin(), from.pages.begin() + pages_for(from.position));
  for (const std::int32_t page : to.pages) ++owners_[static_cast<std::size_t>(page)];
  return copy;
}

std::int64_t PagedStates::rewind(std::int32_t sequence, std::int64_t to) {
  Sequence& s = at(sequence);
  s.position = std::min(s.position, to);
  keep_pages(s, pages_for(s.position));
  return s.position;
}

Checkpoint PagedStates::checkpoint(std::int32_t sequence) const {
  return {at(sequence).position};
}

void PagedStates::restore(std::int32_t sequence, const Checkpoint& checkpoint) {
  rewind(sequence, checkpoint.position);
}

std::span<const std::int32_t> PagedStates::pages(std::int32_t sequence) const {
  return at(sequence).pages;
}

}  // namespace ingot
