// Log-probabilities of tokens under the model's own distribution.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/sampler/candidates.hpp"

namespace ingot {

struct TokenProbability {
  TokenId id = 0;
  double log_probability = 0;  ///< natural logarithm; -inf for a token that cannot come
};

struct LogProbabilities {
  TokenProbability chosen;
  std::vector<TokenProbability> top;  ///< the most probable tokens, best first
};

/// log(sum(exp(logits))), in double. Error invalid_argument for NaN, +inf, an empty row, and a row
/// of -inf alone.
inline double log_sum_exp(std::span<const float> logits) {
  double best = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] <= std::numeric_limits<float>::max())) {
      fail(ErrorCode::invalid_argument, "log-probabilities: the logit of token ", i, " is ",
           logits[i], "; the model's weights are damaged or a computation overflowed");
    }
    best = std::max(best, static_cast<double>(logits[i]));
  }
  if (!std::isfinite(best)) {
    fail(ErrorCode::invalid_argument, "log-probabilities: no token of ", logits.size(),
         " has a finite logit");
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - best);
  return best + std::log(sum);
}

/// Log-probabilities of `chosen` and of the `top_count` most probable tokens in the distribution
/// softmax(logits): the model's own, before any bias, penalty, filter or temperature.
/// Error invalid_argument as log_sum_exp, and for an id outside the row.
inline LogProbabilities log_probabilities(std::span<const float> logits, TokenId chosen,
                                          std::size_t top_count = 0) try {
  if (chosen < 0 || static_cast<std::size_t>(chosen) >= logits.size()) {
    fail(ErrorCode::invalid_argument, "log-probabilities: token ", chosen, " is outside the ",
         logits.size(), " logits");
  }
  const double normaliser = log_sum_exp(logits);
  LogProbabilities result;
  result.chosen = {chosen, logits[static_cast<std::size_t>(chosen)] - normaliser};
  if (top_count == 0) return result;
  Candidates candidates(logits);
  candidates.sort_front(top_count);
  candidates.truncate(top_count);
  for (const Candidate& candidate : candidates.items()) {
    result.top.push_back({candidate.id, candidate.logit - normaliser});
  }
  return result;
} catch (...) {
  detail::rethrow_at_border("log_probabilities");
}

}  // namespace ingot
