// The sampler: each part against numbers worked out by hand, then the chain. If these fail, sampled
// text is drawn from another distribution than the options say.
#include "ingot/sampler.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ingot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Logits of a distribution given by its probabilities.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::set<TokenId> ids(const Candidates& candidates) {
  std::set<TokenId> result;
  for (const Candidate& candidate : candidates.items()) result.insert(candidate.id);
  return result;
}

/// The ids a part leaves.
template <class Part>
std::set<TokenId> kept(const Part& part, const std::vector<float>& logits) {
  Candidates candidates{logits};
  part(candidates, {});
  return ids(candidates);
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_GT(std::string(error.what()).size(), 10U);
    return error.code();
  }
  ADD_FAILURE() << "no Error";
  return ErrorCode::internal;
}

TEST(SamplerParts, TopKKeepsTheKMostProbableAndBreaksTiesByLowerId) {
  const std::vector<float> logits = {1, 3, 2, 3, 0};
  EXPECT_EQ(kept(TopK(1), logits), (std::set<TokenId>{1}));
  EXPECT_EQ(kept(TopK(2), logits), (std::set<TokenId>{1, 3}));
  EXPECT_EQ(kept(TopK(3), logits), (std::set<TokenId>{1, 2, 3}));
  EXPECT_EQ(kept(TopK(0), logits).size(), 5U);
  EXPECT_EQ(kept(TopK(99), logits).size(), 5U);
  // A vocabulary large enough for the heap path.
  std::vector<float> many(10000, 0.0F);
  many[777] = 2;
  many[9999] = 1;
  EXPECT_EQ(kept(TopK(4), many), (std::set<TokenId>{777, 9999, 0, 1}));
}

TEST(SamplerParts, TopPKeepsTheTokenThatCrossesTheBorder) {
  const std::vector<float> logits = logits_of({0.1, 0.5, 0.25, 0.15});
  EXPECT_EQ(kept(TopP(0.0), logits), (std::set<TokenId>{1}));
  EXPECT_EQ(kept(TopP(0.49), logits), (std::set<TokenId>{1}));
  EXPECT_EQ(kept(TopP(0.51), logits), (std::set<TokenId>{1, 2}));
  EXPECT_EQ(kept(TopP(0.74), logits), (std::set<TokenId>{1, 2}));
  EXPECT_EQ(kept(TopP(0.76), logits), (std::set<TokenId>{1, 2, 3}));
  EXPECT_EQ(kept(TopP(0.95), logits).size(), 4U);
  EXPECT_EQ(kept(TopP(1.0), logits).size(), 4U);
}

TEST(SamplerParts, TopPOfALargeFlatVocabularyKeepsItsShare) {
  // 4096 equally probable tokens (every partial sum is exact): p = 0.5 keeps the first 2048.
  const std::set<TokenId> left = kept(TopP(0.5), std::vector<float>(4096, 1.5F));
  EXPECT_EQ(left.size(), 2048U);
  EXPECT_EQ(*left.rbegin(), 2047);
}

TEST(SamplerParts, TopPAndMinPIgnoreMaskedTokens) {
  const std::vector<float> logits = {-kInfinity, 0, -kInfinity, 0};
  EXPECT_EQ(kept(TopP(0.99), logits), (std::set<TokenId>{1, 3}));
  EXPECT_EQ(kept(MinP(0.01), logits), (std::set<TokenId>{1, 3}));
}

TEST(SamplerParts, MinPIsAShareOfTheBestToken) {
  const std::vector<float> logits = logits_of({0.5, 0.26, 0.14, 0.1});
  EXPECT_EQ(kept(MinP(0.0), logits).size(), 4U);
  EXPECT_EQ(kept(MinP(0.19), logits).size(), 4U);                     // least 0.095
  EXPECT_EQ(kept(MinP(0.21), logits), (std::set<TokenId>{0, 1, 2}));  // least 0.105
  EXPECT_EQ(kept(MinP(0.51), logits), (std::set<TokenId>{0, 1}));     // least 0.255
  EXPECT_EQ(kept(MinP(1.0), logits), (std::set<TokenId>{0}));
}

TEST(SamplerParts, TemperatureScalesDifferences) {
  Candidates candidates{std::vector<float>{1, 3, -kInfinity, 2}};
  Temperature(0.5)(candidates, {});
  const std::array<float, 4> expected = {-4, 0, -kInfinity, -2};
  for (const Candidate& candidate : candidates.items()) {
    EXPECT_EQ(candidate.logit, expected[static_cast<std::size_t>(candidate.id)]);
  }
}

TEST(SamplerParts, TemperatureZeroAndNearlyZeroAreGreedy) {
  const std::vector<float> logits = {1, 3, 2, 3};
  EXPECT_EQ(kept(Temperature(0), logits), (std::set<TokenId>{1}));
  // 1e-300 overflows any division of logits; the two best stay equal and the rest become "never".
  SamplerChain chain({Temperature(1e-300)}, 1);
  for (int i = 0; i < 50; ++i) {
    const TokenId id = chain.sample(logits);
    EXPECT_TRUE(id == 1 || id == 3);
  }
}

TEST(SamplerParts, PenaltiesByHand) {
  // History: token 0 three times, 1 once, 3 outside the window of 4.
  const std::vector<TokenId> history = {3, 0, 0, 1, 0};
  Candidates candidates{std::vector<float>{2, -2, 1, 1}};
  Penalties(2.0, 0.25, 0.5, 4)(candidates, history);
  std::array<float, 4> logits{};
  for (const Candidate& c : candidates.items()) logits[static_cast<std::size_t>(c.id)] = c.logit;
  EXPECT_EQ(logits[0], 2.0F / 2 - 3 * 0.25F - 0.5F);   // positive: divided; three times; present
  EXPECT_EQ(logits[1], -2.0F * 2 - 1 * 0.25F - 0.5F);  // negative: multiplied
  EXPECT_EQ(logits[2], 1);
  EXPECT_EQ(logits[3], 1);

  candidates.assign(std::vector<float>{2, -2, 1, 1});
  Penalties(2.0, 0.25, 0.5, -1)(candidates, history);  // the whole history
  EXPECT_EQ(candidates.find(3)->logit, 1.0F / 2 - 0.25F - 0.5F);
  candidates.assign(std::vector<float>{2, -2, 1, 1});
  Penalties(2.0, 0.25, 0.5, 0)(candidates, history);  // none of it
  EXPECT_EQ(candidates.find(0)->logit, 2);
}

TEST(SamplerParts, PenaltiesFindTokensAfterAFilter) {
  Candidates candidates{std::vector<float>{0, 5, 4, 3}};
  TopK(2)(candidates, {});
  const std::vector<TokenId> history = {1, 3};
  Penalties(1.0, 0.0, 2.0, -1)(candidates, history);
  EXPECT_EQ(candidates.find(1)->logit, 3);
  EXPECT_EQ(candidates.best().id, 2);
}

TEST(SamplerChainTest, DrawsInProportion) {
  const std::vector<double> expected = {0.1, 0.5, 0.25, 0.15};
  SamplerOptions options{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 3};
  SamplerChain chain(options);
  const std::vector<float> logits = logits_of(expected);
  std::array<int, 4> counts{};
  const int draws = 40000;
  for (int i = 0; i < draws; ++i) ++counts[static_cast<std::size_t>(chain.sample(logits))];
  for (std::size_t i = 0; i < 4; ++i) {
    // Five standard deviations of a binomial share.
    const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / draws);
    EXPECT_NEAR(counts[i] / static_cast<double>(draws), expected[i], 5 * deviation) << i;
  }
}

TEST(SamplerChainTest, TheSameSeedGivesTheSameIdsOnEveryPlatform) {
  std::vector<float> logits;
  for (int i = 0; i < 1000; ++i) logits.push_back(static_cast<float>((i * 37) % 101) / 16);
  SamplerOptions options{.temperature = 1, .top_k = 40, .top_p = 1, .min_p = 0, .seed = 1234};
  std::vector<TokenId> first;
  SamplerChain chain(options);
  for (int i = 0; i < 32; ++i) first.push_back(chain.sample(logits));
  chain.reset();
  for (const TokenId id : first) EXPECT_EQ(chain.sample(logits), id);

  // The draw written out from its definition, so that a change of library or order would show.
  Candidates candidates{logits};
  candidates.sort_front(40);
  candidates.truncate(40);
  Pcg32 random(1234);
  for (const TokenId id : first) {
    double total = 0;
    for (const Candidate& c : candidates.items()) {
      total += std::exp(c.logit - static_cast<double>(candidates.items()[0].logit));
    }
    double left = random.uniform() * total;
    TokenId drawn = -1;
    for (const Candidate& c : candidates.items()) {
      const double weight = std::exp(c.logit - static_cast<double>(candidates.items()[0].logit));
      if (left < weight) {
        drawn = c.id;
        break;
      }
      left -= weight;
    }
    EXPECT_EQ(drawn, id);
  }
  EXPECT_GT(std::set<TokenId>(first.begin(), first.end()).size(), 10U);

  options.seed = 1235;
  SamplerChain other(options);
  std::vector<TokenId> second;
  for (int i = 0; i < 32; ++i) second.push_back(other.sample(logits));
  EXPECT_NE(first, second);
}

TEST(SamplerChainTest, AnUnsetSeedIsChosenAndTold) {
  SamplerChain chain(SamplerOptions{.temperature = 1});
  SamplerChain again(SamplerOptions{.temperature = 1, .seed = chain.seed()});
  const std::vector<float> logits(50, 0.0F);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(chain.sample(logits), again.sample(logits));
}

TEST(SamplerChainTest, GreedyTakesTheBestAfterPenalties) {
  SamplerOptions options{.temperature = 0, .presence_penalty = 2};
  SamplerChain chain(options);
  const std::vector<float> logits = {1, 3, 2};
  EXPECT_EQ(chain.sample(logits), 1);
  chain.accept(1);  // 3 - 2 = 1
  EXPECT_EQ(chain.sample(logits), 2);
  chain.accept(2);  // 2 - 2 = 0; 0 and 1 tie at 1
  EXPECT_EQ(chain.sample(logits), 0);
}

TEST(SamplerChainTest, BiasForbidsAndForces) {
  const std::vector<float> logits = {1, 3, 2};
  SamplerChain forbids(SamplerOptions{.temperature = 0, .logit_bias = {{1, -kInfinity}}});
  EXPECT_EQ(forbids.sample(logits), 2);
  SamplerChain forces(SamplerOptions{.temperature = 0, .logit_bias = {{0, 100.0F}}});
  EXPECT_EQ(forces.sample(logits), 0);
  SamplerChain outside(SamplerOptions{.logit_bias = {{3, 1.0F}}});
  EXPECT_EQ(code_of([&] { outside.sample(logits); }), ErrorCode::invalid_argument);
}

TEST(SamplerChainTest, MaskedTokensAreNeverDrawn) {
  SamplerChain chain(SamplerOptions{.temperature = 5, .top_k = 0, .top_p = 1, .min_p = 0});
  const std::vector<float> logits = {-kInfinity, 0, -kInfinity, 0, -kInfinity};
  for (int i = 0; i < 200; ++i) {
    const TokenId id = chain.sample(logits);
    EXPECT_TRUE(id == 1 || id == 3);
  }
}

TEST(SamplerChainTest, BrokenLogitsAreErrors) {
  for (const double temperature : {0.0, 0.8}) {
    SamplerChain chain(SamplerOptions{.temperature = temperature});
    const std::vector<std::vector<float>> rows = {
        {},
        {0, std::nanf("")},
        {0, kInfinity},
        {-kInfinity, -kInfinity},
    };
    for (const std::vector<float>& row : rows) {
      EXPECT_EQ(code_of([&] { chain.sample(row); }), ErrorCode::invalid_argument);
    }
  }
}

TEST(SamplerChainTest, OptionsWithoutMeaningAreErrors) {
  const double nan = std::nan("");
  const std::vector<SamplerOptions> bad = {
      {.temperature = -1},
      {.temperature = nan},
      {.temperature = kInfinity},
      {.temperature = 1e7},
      {.top_k = -1},
      {.top_k = std::numeric_limits<std::int64_t>::min()},
      {.top_p = -0.1},
      {.top_p = 1.1},
      {.min_p = nan},
      {.repetition_penalty = 0},
      {.repetition_penalty = kInfinity},
      {.frequency_penalty = nan},
      {.presence_penalty = 1e9},
      {.penalty_window = -2},
      {.logit_bias = {{0, std::nanf("")}}},
      {.logit_bias = {{0, kInfinity}}},
  };
  for (const SamplerOptions& options : bad) {
    EXPECT_EQ(code_of([&] { SamplerChain chain(options); }), ErrorCode::invalid_argument);
  }
}

TEST(SamplerChainTest, ARefusedOptionIsNamed) {
  const double nan = std::nan("");
  const std::vector<std::pair<SamplerOptions, std::string>> bad = {
      {{.temperature = -1}, "temperature"},
      {{.top_k = -5}, "top_k"},
      {{.top_p = 1.5}, "top_p"},
      {{.min_p = -1}, "min_p"},
      {{.repetition_penalty = nan}, "repetition_penalty"},
      {{.frequency_penalty = 2e3}, "frequency_penalty"},
      {{.presence_penalty = nan}, "presence_penalty"},
      {{.penalty_window = -2}, "penalty_window"},
      {{.logit_bias = {{7, std::nanf("")}}}, "logit_bias of token 7"},
  };
  for (const auto& [options, field] : bad) {
    try {
      SamplerChain chain(options);
      ADD_FAILURE() << field;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(field + " is "), std::string::npos) << error.what();
    }
  }
  EXPECT_NO_THROW(SamplerChain({.temperature = 1e6, .top_k = 0, .top_p = 0, .min_p = 1}));
  EXPECT_NO_THROW(SamplerChain({.frequency_penalty = -1000, .penalty_window = -1}));
}

// Braces without the type's name, as g++ 12 and clang++ 14 must take them.
TEST(SamplerChainTest, TakesOptionsAndPartsInBraces) {
  SamplerChain options({.temperature = 0.2});
  EXPECT_EQ(SamplerChain({.temperature = 0.2, .seed = 7}).seed(), 7u);
  EXPECT_EQ(SamplerChain({.seed = 8}).seed(), 8u);
  SamplerChain nested{{.temperature = 0, .seed = 9}};
  EXPECT_EQ(nested.seed(), 9u);
  EXPECT_EQ(nested.sample(std::vector<float>{0, 2, 1}), 1);

  SamplerChain one_part({Temperature(0)});
  EXPECT_EQ(one_part.sample(std::vector<float>{0, 2, 1}), 1);
  SamplerChain parts({TopK(1), Temperature(0.7)}, 11);
  EXPECT_EQ(parts.seed(), 11u);
  EXPECT_EQ(parts.sample(std::vector<float>{0, 2, 1}), 1);
  const std::vector<SamplerPart> list = {TopK(1)};
  EXPECT_EQ(SamplerChain(list, 12).sample(std::vector<float>{0, 2, 1}), 1);
  EXPECT_EQ(SamplerChain(SamplerChain::make_parts({.top_k = 1}), 13).seed(), 13u);

  SamplerChain also_nested{{.seed = 10}};
  EXPECT_EQ(also_nested.seed(), 10u);
  SamplerChain defaults({});  // the options', not "no parts at all"
  const std::vector<float> flat = {0, -20};
  for (int i = 0; i < 20; ++i) EXPECT_EQ(defaults.sample(flat), 0);
  EXPECT_EQ(defaults.candidates().size(), 1u) << "top-p leaves one";

  SamplerChain copy(parts);
  EXPECT_EQ(SamplerChain(copy).seed(), 11u);
  options.accept({1});
}

TEST(SamplerChainTest, ExtremeButFiniteValuesStayDefined) {
  const float max = std::numeric_limits<float>::max();
  SamplerChain chain(SamplerOptions{
      .temperature = 0.5, .repetition_penalty = 1000, .logit_bias = {{0, max}, {1, -max}}});
  chain.accept(1);
  EXPECT_EQ(chain.sample(std::vector<float>{max, -max, 0}), 0);
}

TEST(LogProbability, OfTheModelsOwnDistribution) {
  const std::vector<double> probabilities = {0.1, 0.5, 0.25, 0.15};
  const std::vector<float> logits = logits_of(probabilities);
  const LogProbabilities result = log_probabilities(logits, 3, 2);
  // float logits near 2 are within 2^-24 * 2 of the exact logarithm.
  EXPECT_EQ(result.chosen.id, 3);
  EXPECT_NEAR(result.chosen.log_probability, std::log(0.15), 4e-7);
  ASSERT_EQ(result.top.size(), 2U);
  EXPECT_EQ(result.top[0].id, 1);
  EXPECT_NEAR(result.top[0].log_probability, std::log(0.5), 4e-7);
  EXPECT_EQ(result.top[1].id, 2);

  EXPECT_EQ(log_probabilities(logits, 0, 99).top.size(), 4U);
  EXPECT_EQ(log_probabilities({{0, -kInfinity}}, 1).chosen.log_probability,
            -std::numeric_limits<double>::infinity());
  // Large offsets cancel: softmax is the same when a constant is added.
  // The normaliser near 1000 is rounded to 1000 * 2^-53.
  EXPECT_NEAR(log_probabilities(std::vector<float>{1000, 1000}, 0).chosen.log_probability,
              -std::log(2.0), 1000 * 0x1p-53 * 2);
}

TEST(LogProbability, BrokenRowsAreErrors) {
  const auto code = [](std::vector<float> row, TokenId id) {
    return code_of([&] { log_probabilities(row, id); });
  };
  EXPECT_EQ(code({0, std::nanf("")}, 0), ErrorCode::invalid_argument);
  EXPECT_EQ(code({0, kInfinity}, 0), ErrorCode::invalid_argument);
  EXPECT_EQ(code({-kInfinity}, 0), ErrorCode::invalid_argument);
  EXPECT_EQ(code({0, 0}, 2), ErrorCode::invalid_argument);
  EXPECT_EQ(code({0, 0}, -1), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace ingot
