// The parts a sampler is composed of. Each is a function object
//   void operator()(Candidates&, std::span<const TokenId> history) const
// that edits the candidates; history holds the tokens of the sequence so far, oldest first.
// Constructors check their arguments: Error invalid_argument.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "ingot/error.hpp"
#include "ingot/sampler/candidates.hpp"

namespace ingot {

namespace detail {

/// `value` if it lies in [low, high] (NaN does not), Error invalid_argument otherwise.
inline double checked_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(ErrorCode::invalid_argument, "sampler: ", name, " is ", value, "; it must be from ", low,
         " to ", high);
  }
  return value;
}

/// `value` if it is `low` or more, Error invalid_argument otherwise.
inline std::int64_t checked_least(const char* name, std::int64_t value, std::int64_t low) {
  if (value < low) {
    fail(ErrorCode::invalid_argument, "sampler: ", name, " is ", value, "; it must be ", low,
         " or more");
  }
  return value;
}

/// The nearest logit a candidate may have: overflow upwards saturates, downwards means "never".
inline float to_logit(double value) {
  constexpr double kMax = std::numeric_limits<float>::max();
  if (value < -kMax) return -std::numeric_limits<float>::infinity();
  return static_cast<float>(std::min(value, kMax));
}

}  // namespace detail

/// Adds a number to the logits of single tokens; -infinity forbids a token.
class LogitBias {
 public:
  explicit LogitBias(std::vector<std::pair<TokenId, float>> biases) : biases_(std::move(biases)) {
    for (const auto& [id, bias] : biases_) {
      if (!(bias <= std::numeric_limits<float>::max())) {
        fail(ErrorCode::invalid_argument, "sampler: the logit_bias of token ", id, " is ", bias,
             "; it must be a number or -infinity");
      }
    }
  }

  /// Error invalid_argument for an id outside the vocabulary.
  void operator()(Candidates& candidates, std::span<const TokenId>) const {
    for (const auto& [id, bias] : biases_) {
      Candidate* candidate = candidates.find(id);
      if (candidate == nullptr) {
        fail(ErrorCode::invalid_argument, "sampler: logit_bias for token ", id,
             ", which is not among the ", candidates.size(), " candidates");
      }
      candidate->logit = detail::to_logit(static_cast<double>(candidate->logit) + bias);
    }
  }

 private:
  std::vector<std::pair<TokenId, float>> biases_;
};

/// Makes tokens of the last `window` of the history less probable:
///   repetition (Keskar et al. 2019, "CTRL", section 4.1): a positive logit is divided by it, a
///   negative one multiplied;
///   frequency and presence (as the OpenAI API defines them): logit -= frequency * count +
///   presence.
class Penalties {
 public:
  /// window -1: the whole history; 0: none of it.
  Penalties(double repetition, double frequency, double presence, std::int64_t window)
      : repetition_(detail::checked_range("repetition_penalty", repetition, 1e-3, 1e3)),
        frequency_(detail::checked_range("frequency_penalty", frequency, -1e3, 1e3)),
        presence_(detail::checked_range("presence_penalty", presence, -1e3, 1e3)),
        window_(detail::checked_least("penalty_window", window, -1)) {}

  void operator()(Candidates& candidates, std::span<const TokenId> history) const {
    if (window_ >= 0 && history.size() > static_cast<std::size_t>(window_)) {
      history = history.last(static_cast<std::size_t>(window_));
    }
    std::map<TokenId, std::int64_t> counts;
    for (const TokenId id : history) ++counts[id];
    for (const auto& [id, count] : counts) {
      Candidate* candidate = candidates.find(id);
      if (candidate == nullptr) continue;  // filtered out already
      double logit = candidate->logit;
      logit = logit > 0 ? logit / repetition_ : logit * repetition_;
      logit -= frequency_ * static_cast<double>(count) + presence_;
      candidate->logit = detail::to_logit(logit);
    }
  }

 private:
  double repetition_;
  double frequency_;
  double presence_;
  std::int64_t window_;
};

/// Keeps the k most probable tokens; 0 keeps all.
class TopK {
 public:
  explicit TopK(std::int64_t k) : k_(detail::checked_least("top_k", k, 0)) {}

  void operator()(Candidates& candidates, std::span<const TokenId>) const {
    if (k_ == 0 || static_cast<std::uint64_t>(k_) >= candidates.size()) return;
    candidates.sort_front(static_cast<std::size_t>(k_));
    candidates.truncate(static_cast<std::size_t>(k_));
  }

 private:
  std::int64_t k_;
};

/// Nucleus sampling (Holtzman et al. 2020): keeps the fewest most probable tokens whose
/// probabilities, over the candidates still there, sum to at least p. Always keeps one; 1 keeps
/// all.
class TopP {
 public:
  explicit TopP(double p) : p_(detail::checked_range("top_p", p, 0, 1)) {}

  void operator()(Candidates& candidates, std::span<const TokenId>) const {
    const double best = candidates.best().logit;
    if (p_ >= 1 || !std::isfinite(best)) return;
    double total = 0;
    for (const Candidate& candidate : candidates.items()) total += std::exp(candidate.logit - best);

    double sum = 0;
    std::size_t kept = 0;
    // The nucleus is usually a few dozen tokens: sort as many, then more, never all at once.
    for (std::size_t front = 64; kept < candidates.size(); front *= 4) {
      candidates.sort_front(front);
      const std::size_t end = std::min(front, candidates.size());
      for (; kept < end; ++kept) {
        sum += std::exp(candidates.items()[kept].logit - best);
        if (sum >= p_ * total) {
          candidates.truncate(kept + 1);
          return;
        }
      }
    }
  }

 private:
  double p_;
};

/// Keeps tokens at least p times as probable as the best one (Nguyen et al. 2024); 0 keeps all.
class MinP {
 public:
  explicit MinP(double p) : p_(detail::checked_range("min_p", p, 0, 1)) {}

  void operator()(Candidates& candidates, std::span<const TokenId>) const {
    const double best = candidates.best().logit;
    if (p_ <= 0 || !std::isfinite(best)) return;
    const double least = best + std::log(p_);
    candidates.keep_if([least](const Candidate& candidate) { return candidate.logit >= least; });
  }

 private:
  double p_;
};

/// Divides the logits by the temperature (they come out relative to the best, whose logit becomes
/// 0: the distribution is the same and no division can overflow). 0 keeps the best token alone.
class Temperature {
 public:
  explicit Temperature(double temperature)
      : temperature_(detail::checked_range("temperature", temperature, 0, 1e6)) {}

  void operator()(Candidates& candidates, std::span<const TokenId>) const {
    if (temperature_ == 0) {
      const Candidate best = candidates.best();
      candidates.keep_if([&](const Candidate& candidate) { return candidate.id == best.id; });
      return;
    }
    const double best = candidates.best().logit;
    if (temperature_ == 1 || !std::isfinite(best)) return;
    candidates.map_monotonic(
        [&](float logit) { return detail::to_logit((logit - best) / temperature_); });
  }

 private:
  double temperature_;
};

}  // namespace ingot
