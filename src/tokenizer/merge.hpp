// The heart of BPE: join the best neighbouring pair until none can be joined. "Best" is the lowest
// rank, of equal ranks the leftmost pair; this order is what the published tokenizers follow.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/error.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/cancelled.hpp"

namespace ingot::internal::tokenizer {

/// A part of a word: bytes [begin, end) of it and the token they make so far, −1 for none.
struct Symbol {
  std::uint32_t begin;
  std::uint32_t end;
  TokenId id;
};

inline constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

/// What two neighbours join to.
struct Join {
  std::uint32_t rank = kNoRank;  ///< kNoRank: they don't
  TokenId id = -1;
};

namespace detail {

/// Up to this many symbols a scan for the smallest rank beats a heap: the ranks stay in four cache
/// lines and nothing is allocated.
inline constexpr std::size_t kShortWord = 64;

/// O(n²) for n ≤ kShortWord.
template <class JoinOf>
void merge_short(std::vector<Symbol>& symbols, const JoinOf& join_of) {
  std::array<Join, kShortWord> joins;
  std::size_t count = symbols.size();
  for (std::size_t i = 0; i + 1 < count; ++i) joins[i] = join_of(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (joins[i].rank < joins[best].rank) best = i;
    }
    if (joins[best].rank == kNoRank) break;
    symbols[best].end = symbols[best + 1].end;
    symbols[best].id = joins[best].id;
    const auto gone = static_cast<std::ptrdiff_t>(best + 1);
    std::copy(symbols.begin() + gone + 1, symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + gone);
    --count;
    // joins[best + 1] spoke of the symbol that is gone.
    if (best + 1 < count) {
      std::copy(joins.begin() + gone, joins.begin() + static_cast<std::ptrdiff_t>(count),
                joins.begin() + gone - 1);
      joins[best] = join_of(symbols[best], symbols[best + 1]);
    }
    if (best > 0) joins[best - 1] = join_of(symbols[best - 1], symbols[best]);
  }
  symbols.resize(count);
}

/// Pairs in order of (rank, position). What comes in while a sorted batch is being worked off waits
/// in a heap and becomes the next batch: later pairs mostly rank behind the present ones, so hardly
/// anything is ever taken from the heap, and sorting is kinder to the caches than popping.
class PairQueue {
 public:
  explicit PairQueue(std::size_t capacity) { fresh_.reserve(capacity); }

  void push(std::uint32_t rank, std::uint32_t at) {
    fresh_.push_back(std::uint64_t{rank} << 32U | at);
    if (heaped_) std::push_heap(fresh_.begin(), fresh_.end(), std::greater<>{});
  }

  /// The first pair, removed; nothing when there is none.
  std::optional<std::pair<std::uint32_t, std::uint32_t>> pop() {
    if (next_ == batch_.size()) {
      if (fresh_.empty()) return std::nullopt;
      batch_.swap(fresh_);
      fresh_.clear();
      next_ = 0;
      heaped_ = true;
      if (!std::is_sorted(batch_.begin(), batch_.end())) std::sort(batch_.begin(), batch_.end());
    }
    std::uint64_t first = batch_[next_];
    if (!fresh_.empty() && fresh_.front() < first) {
      first = fresh_.front();
      std::pop_heap(fresh_.begin(), fresh_.end(), std::greater<>{});
      fresh_.pop_back();
    } else {
      ++next_;
    }
    return std::pair(static_cast<std::uint32_t>(first >> 32U), static_cast<std::uint32_t>(first));
  }

 private:
  std::vector<std::uint64_t> batch_;  // ascending; those before next_ are gone
  std::size_t next_ = 0;
  std::vector<std::uint64_t> fresh_;
  bool heaped_ = false;  // the first batch is collected before anything is asked for
};

/// O(n log n), over a linked list. A pair that changed since it was pushed is recognised by its
/// rank, which is no longer the one at that position.
template <class JoinOf>
void merge_long(std::vector<Symbol>& symbols, const Cancel& cancel, const JoinOf& join_of) {
  struct Link {
    std::uint32_t previous;
    std::uint32_t next;
    Join join;  ///< of this symbol and the next
  };
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Link> links(count);
  PairQueue queue(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    links[i] = {i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1, {}};
    if (i + 1 < count) links[i].join = join_of(symbols[i], symbols[i + 1]);
    if (links[i].join.rank != kNoRank) queue.push(links[i].join.rank, i);
  }

  const auto refresh = [&](std::uint32_t at) {
    Link& link = links[at];
    link.join = link.next == kNone ? Join{} : join_of(symbols[at], symbols[link.next]);
    if (link.join.rank != kNoRank) queue.push(link.join.rank, at);
  };
  std::size_t popped = 0;
  while (const auto first = queue.pop()) {
    if (++popped % kBytesBetweenChecks == 0) throw_if_cancelled(cancel);
    const auto [rank, at] = *first;
    Link& link = links[at];
    if (link.join.rank != rank) continue;
    const std::uint32_t gone = link.next;
    symbols[at].end = symbols[gone].end;
    symbols[at].id = link.join.id;
    links[gone].join = {};
    link.next = links[gone].next;
    if (link.next != kNone) links[link.next].previous = at;
    refresh(at);
    if (link.previous != kNone) refresh(link.previous);
  }

  std::size_t kept = 0;
  for (std::uint32_t i = 0; i != kNone; i = links[i].next) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace detail

/// Joins the symbols of one word in place; `join_of(left, right)` tells what a pair joins to. Error
/// cancelled.
template <class JoinOf>
void merge(std::vector<Symbol>& symbols, const Cancel& cancel, const JoinOf& join_of) {
  if (symbols.size() <= detail::kShortWord) {
    detail::merge_short(symbols, join_of);
  } else {
    detail::merge_long(symbols, cancel, join_of);
  }
}

/// Bytes of the longest word that Symbol can address, with room for the linked list's marks.
inline constexpr std::size_t kMaxWordBytes = std::size_t{1} << 31U;

inline void check_word_size(std::size_t bytes) {
  if (bytes < kMaxWordBytes) return;
  fail(ErrorCode::invalid_argument, "a word of ", bytes,
       " bytes is too long to tokenize (the limit is 2^31); split the text");
}

}  // namespace ingot::internal::tokenizer
