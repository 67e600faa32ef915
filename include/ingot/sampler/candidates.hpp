// The list of tokens that may come next, which every part of a sampler edits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ingot/error.hpp"
#include "ingot/token.hpp"

namespace ingot {

/// A token and its logit (natural logarithm of its unnormalised probability).
struct Candidate {
  TokenId id = 0;
  float logit = 0;
};

/// More probable first; of equal logits the lower id, so that an order is total and the same on
/// every platform.
constexpr bool more_probable(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// Tokens that may still be drawn. Invariant after construction: no logit is NaN. A logit of -inf
/// means "never"; such candidates stay in the list and are not drawn.
class Candidates {
 public:
  Candidates() = default;

  /// One candidate per row entry. Error invalid_argument for an empty row, NaN or +inf.
  explicit Candidates(std::span<const float> logits) { assign(logits); }

  /// As the constructor; keeps the memory of earlier use.
  void assign(std::span<const float> logits) {
    if (logits.empty()) fail(ErrorCode::invalid_argument, "sampler: there are no logits");
    items_.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      require_logit(static_cast<TokenId>(i), logits[i]);
      items_[i] = {static_cast<TokenId>(i), logits[i]};
    }
    by_id_ = true;
    sorted_ = 0;
  }

  /// These alone, best first and each id once, as RowCandidates has them. Error invalid_argument
  /// for none, NaN or +inf.
  void assign(std::span<const Candidate> best_first) {
    if (best_first.empty()) fail(ErrorCode::invalid_argument, "sampler: there are no candidates");
    for (const Candidate& candidate : best_first) require_logit(candidate.id, candidate.logit);
    items_.assign(best_first.begin(), best_first.end());
    by_id_ = false;
    sorted_ = items_.size();
  }

  std::span<const Candidate> items() const { return items_; }
  std::size_t size() const { return items_.size(); }

  /// The candidate with that id, or null. For changing its logit: takes the order as lost.
  Candidate* find(TokenId id) {
    sorted_ = 0;
    if (by_id_) {
      return id >= 0 && static_cast<std::size_t>(id) < items_.size()
                 ? &items_[static_cast<std::size_t>(id)]
                 : nullptr;
    }
    const auto found =
        std::find_if(items_.begin(), items_.end(), [id](const Candidate& c) { return c.id == id; });
    return found == items_.end() ? nullptr : &*found;
  }

  /// The most probable candidate. Error invalid_argument when there is none.
  const Candidate& best() const {
    if (items_.empty()) fail(ErrorCode::invalid_argument, "sampler: there are no candidates");
    return *std::min_element(items_.begin(), items_.end(), more_probable);
  }

  /// Brings the `count` most probable to the front, in order.
  void sort_front(std::size_t count) {
    count = std::min(count, items_.size());
    if (count <= sorted_) return;
    // partial_sort keeps a heap of `count`: one comparison for nearly all of a large vocabulary.
    const auto middle = items_.begin() + static_cast<std::ptrdiff_t>(count);
    if (count <= items_.size() / 8) {
      std::partial_sort(items_.begin(), middle, items_.end(), more_probable);
    } else {
      std::sort(items_.begin(), items_.end(), more_probable);
    }
    by_id_ = false;
    sorted_ = count;
  }

  /// Keeps the first `count`.
  void truncate(std::size_t count) {
    if (count >= items_.size()) return;
    items_.resize(count);
    by_id_ = false;
  }

  /// Keeps those for which keep(candidate) holds, in their order.
  template <class Keep>
  void keep_if(Keep keep) {
    std::erase_if(items_, [&](const Candidate& candidate) { return !keep(candidate); });
    by_id_ = false;
    sorted_ = 0;
  }

  /// logit = function(logit) for all; the function must keep the order and yield no NaN.
  template <class Function>
  void map_monotonic(Function function) {
    for (Candidate& candidate : items_) candidate.logit = function(candidate.logit);
  }

 private:
  static void require_logit(TokenId id, float logit) {
    if (logit <= std::numeric_limits<float>::max()) return;
    fail(ErrorCode::invalid_argument, "sampler: the logit of token ", id, " is ", logit,
         "; the model's weights are damaged or a computation overflowed");
  }

  std::vector<Candidate> items_;
  bool by_id_ = false;      ///< items_[i].id == i
  std::size_t sorted_ = 0;  ///< the first so many are the most probable, in order
};

}  // namespace ingot
