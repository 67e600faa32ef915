// Full attention: a sequence is a list of pages; forks share pages and copy one when they write to
// it.
#pragma once

#include <vector>

#include "src/state/sequence_states.hpp"

namespace ingot {

class PagedStates final : public SequenceStates {
 public:
  explicit PagedStates(std::int64_t page_count);

  std::int32_t open() override;
  void close(std::int32_t sequence) override;
  std::int64_t position(std::int32_t sequence) const override;
  std::vector<PageCopy> reserve(std::int32_t sequence, std::int64_t rows) override;
  void commit(std::int32_t sequence, std::int64_t rows) override;
  std::int32_t fork(std::int32_t sequence) override;
  std::int64_t rewind(std::int32_t sequence, std::int64_t to) override;
  Checkpoint checkpoint(std::int32_t sequence) const override;
  void restore(std::int32_t sequence, const Checkpoint& checkpoint) override;
  std::span<const std::int32_t> pages(std::int32_t sequence) const override;

  std::int64_t free_pages() const { return static_cast<std::int64_t>(free_.size()); }

 private:
  struct Sequence {
    bool open = false;
    std::int64_t position = 0;
    std::vector<std::int32_t> pages;
  };

  Sequence& at(std::int32_t sequence) { return sequences_[static_cast<std::size_t>(sequence)]; }
  const Sequence& at(std::int32_t sequence) const {
    return sequences_[static_cast<std::size_t>(sequence)];
  }
  std::int32_t take_page();
  void drop_page(std::int32_t page);
  void keep_pages(Sequence& sequence, std::int64_t count);

  std::vector<Sequence> sequences_;
  std::vector<std::int32_t> owners_;  // per page: sequences that hold it
  std::vector<std::int32_t> free_;    // a stack, lowest page on top
};

}  // namespace ingot
