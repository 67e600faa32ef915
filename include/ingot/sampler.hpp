// Choosing the next token from logits. Complete in headers: needs nothing linked.
//
//   ingot::SamplerChain sampler({.temperature = 0.2, .seed = 7});
//   ingot::TokenId id = sampler.sample(logits);   // logits: one row of the vocabulary's size
//   sampler.accept(id);                           // what the penalties look back on
//
// The parts (ingot/sampler/parts.hpp) can also be composed in another order, or with parts of one's
// own: SamplerChain({TopK(20), Temperature(0.7)}, seed).
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/sampler/candidates.hpp"
#include "ingot/sampler/log_probability.hpp"
#include "ingot/sampler/parts.hpp"
#include "ingot/sampler/random.hpp"

namespace ingot {

/// What local engines call the usual settings, and their usual defaults. Each part that is at its
/// neutral value is left out.
struct SamplerOptions {
  double temperature = 0.8;          ///< 0 to 10⁶; 0: always the most probable token (greedy)
  std::int64_t top_k = 40;           ///< 0 and more; 0: off
  double top_p = 0.95;               ///< 0 to 1; 1: off
  double min_p = 0.05;               ///< 0 to 1; 0: off
  double repetition_penalty = 1.0;   ///< 0.001 to 1000
  double frequency_penalty = 0.0;    ///< -1000 to 1000
  double presence_penalty = 0.0;     ///< -1000 to 1000
  std::int64_t penalty_window = 64;  ///< tokens the penalties look back; -1: all, 0: none
  std::vector<std::pair<TokenId, float>> logit_bias = {};
  std::optional<std::uint64_t> seed = {};  ///< not set: a random one; SamplerChain::seed() tells
};

/// A step of a sampler; see ingot/sampler/parts.hpp.
using SamplerPart = std::function<void(Candidates&, std::span<const TokenId> history)>;

/// Parts applied in order, then a draw from what they leave. Copyable: a copy draws the same
/// tokens.
class SamplerChain {
  enum class Nothing {};

 public:
  SamplerChain() : SamplerChain(SamplerOptions{}) {}

  /// SamplerChain({}): the default options. (Without it the braces could be a chain to copy, too.)
  explicit SamplerChain(Nothing) : SamplerChain() {}

  /// In this order: logit bias, penalties, top-k, top-p, min-p, temperature, draw. The filters see
  /// the untempered distribution, so a higher temperature never lets in tokens that a filter would
  /// have kept out. Error invalid_argument for a value outside its range names the field.
  explicit SamplerChain(const SamplerOptions& options)
      : SamplerChain(make_parts(options), options.seed) {
    settings_ = options;
  }

  /// Parts of one's own choice. A template, so that braces around options are no list of parts:
  /// SamplerChain({.temperature = 0.2}) means the constructor above, SamplerChain({TopK(20)}) the
  /// one below. Error invalid_argument for an empty part.
  template <std::same_as<std::vector<SamplerPart>> Parts>
  explicit SamplerChain(Parts parts, std::optional<std::uint64_t> seed = {})
      : parts_(checked_parts(std::move(parts))),
        seed_(seed ? *seed : random_seed()),
        random_(seed_) {}

  template <std::size_t count>
  explicit SamplerChain(const SamplerPart (&parts)[count], std::optional<std::uint64_t> seed = {})
      : SamplerChain(std::vector<SamplerPart>(parts, parts + count), seed) {}

  /// Draws a token. Uses two random numbers whatever the logits, so that draws stay comparable.
  /// The same seed, history and logits give the same token on every platform, but for draws that
  /// fall within the last bit of the platform's exp() of a border (about 1 in 10^13).
  /// Error invalid_argument for NaN or +inf among the logits, or when nothing may be drawn.
  TokenId sample(std::span<const float> logits) try {
    candidates_.assign(logits);
    return filter_and_draw();
  } catch (...) {
    detail::rethrow_at_border("SamplerChain::sample");
  }

  /// The same from the most probable tokens alone, best first: as many as need() says give the
  /// token that all logits would.
  TokenId sample(std::span<const Candidate> best_first) try {
    candidates_.assign(best_first);
    return filter_and_draw();
  } catch (...) {
    detail::rethrow_at_border("SamplerChain::sample");
  }

  /// What the next sample() must see of a row.
  struct Need {
    enum class Kind : std::uint8_t {
      best,        ///< the most probable token; its logit does not matter
      candidates,  ///< the `count` most probable tokens
      logits,      ///< all of the row
    };
    Kind kind = Kind::logits;
    std::int64_t count = 0;
  };

  /// Of chains made of parts, which may do anything: all logits.
  Need need() const {
    if (!settings_ || !settings_->logit_bias.empty()) return {};
    const SamplerOptions& s = *settings_;
    const bool penalises =
        s.repetition_penalty != 1 || s.frequency_penalty != 0 || s.presence_penalty != 0;
    // What a penalty makes more probable may come from anywhere in the row.
    if (s.repetition_penalty < 1 || s.frequency_penalty < 0 || s.presence_penalty < 0) return {};
    const bool greedy = s.temperature == 0;
    if (greedy && !penalises) return {Need::Kind::best, 1};
    if (!greedy && s.top_k <= 0) return {};
    std::int64_t count = greedy ? 1 : s.top_k;
    if (penalises) {
      // As many of the best may be demoted as the penalties look back on.
      const auto seen = static_cast<std::int64_t>(history_.size());
      count += s.penalty_window < 0 ? seen : std::min(s.penalty_window, seen);
    }
    return {Need::Kind::candidates, count};
  }

  /// Adds a token to the history the penalties see.
  void accept(TokenId id) { accept(std::span(&id, 1)); }
  void accept(std::span<const TokenId> ids) try {
    history_.insert(history_.end(), ids.begin(), ids.end());
  } catch (...) {
    detail::rethrow_at_border("SamplerChain::accept");
  }

  /// Forgets the history and starts the random numbers again from the seed.
  void reset() {
    history_.clear();
    random_ = Pcg32(seed_);
  }

  /// The seed in use, also when it was chosen at random.
  std::uint64_t seed() const { return seed_; }

  /// What the last sample() drew from, after all parts.
  const Candidates& candidates() const { return candidates_; }

  static std::vector<SamplerPart> make_parts(const SamplerOptions& options) try {
    std::vector<SamplerPart> parts;
    if (!options.logit_bias.empty()) parts.emplace_back(LogitBias(options.logit_bias));
    // Parts are built even when neutral, so that a value without meaning is refused here.
    Penalties penalties(options.repetition_penalty, options.frequency_penalty,
                        options.presence_penalty, options.penalty_window);
    if (options.repetition_penalty != 1 || options.frequency_penalty != 0 ||
        options.presence_penalty != 0) {
      parts.emplace_back(penalties);
    }
    Temperature temperature(options.temperature);
    TopK top_k(options.top_k);
    TopP top_p(options.top_p);
    MinP min_p(options.min_p);
    if (options.temperature > 0) {
      if (options.top_k > 0) parts.emplace_back(top_k);
      if (options.top_p < 1) parts.emplace_back(top_p);
      if (options.min_p > 0) parts.emplace_back(min_p);
    }
    if (options.temperature != 1) parts.emplace_back(temperature);
    return parts;
  } catch (...) {
    detail::rethrow_at_border("SamplerChain");
  }

 private:
  static std::vector<SamplerPart> checked_parts(std::vector<SamplerPart> parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i])
        fail(ErrorCode::invalid_argument, "sampler: part ", i, " is an empty function");
    }
    return parts;
  }

  static std::uint64_t random_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
  }

  TokenId filter_and_draw() {
    for (const SamplerPart& part : parts_) {
      part(candidates_, history_);
      if (candidates_.size() == 0) {
        fail(ErrorCode::invalid_argument, "sampler: a part removed every candidate");
      }
    }
    return draw();
  }

  TokenId draw() {
    const Candidate& best = candidates_.best();
    if (!std::isfinite(best.logit)) {
      fail(ErrorCode::invalid_argument, "sampler: every token is masked (logit -infinity)");
    }
    const double uniform = random_.uniform();
    const double top = best.logit;
    double total = 0;
    for (const Candidate& candidate : candidates_.items()) total += std::exp(candidate.logit - top);
    double left = uniform * total;
    for (const Candidate& candidate : candidates_.items()) {
      const double weight = std::exp(candidate.logit - top);
      if (left < weight) return candidate.id;
      left -= weight;
    }
    return best.id;  // rounding used up the total
  }

  std::vector<SamplerPart> parts_;
  std::uint64_t seed_;
  Pcg32 random_;
  std::vector<TokenId> history_;
  Candidates candidates_;
  std::optional<SamplerOptions> settings_;  ///< what the parts were made of
};

}  // namespace ingot
