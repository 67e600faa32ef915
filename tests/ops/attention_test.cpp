// Attention: broken by a wrong page, head, mask border or window, by a running maximum or sum that
// is not carried over tiles or splits, or by a sink that counts more than once.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "src/device/registry.hpp"
#include "src/state/row_rotation.hpp"
#include "tests/ops/tile_rounding.hpp"
#include "tests/support/cache_types.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

struct Heads {
  std::int64_t count = 1;
  std::int64_t kv_count = 1;
  std::int64_t key_size = 32;
  std::int64_t value_size = 32;
};

struct Options {
  std::int64_t window = 0;
  double soft_cap = 0;
  bool sinks = false;
  double spread = 1.0;  ///< of queries and keys
};

// Euclidean norm of the largest row of `size` columns anywhere in a table.
double largest_norm(const std::vector<float>& table, std::int64_t size) {
  double most = 0;
  for (std::size_t begin = 0; begin < table.size(); begin += static_cast<std::size_t>(size)) {
    double sum = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      const double x = table[begin + static_cast<std::size_t>(i)];
      sum += x * x;
    }
    most = std::max(most, std::sqrt(sum));
  }
  return most;
}

double largest_magnitude(const std::vector<float>& table) {
  double most = 0;
  for (const float x : table) most = std::max(most, std::abs(static_cast<double>(x)));
  return most;
}

// What a cache type adds to the length of a stored row, as a share of it, at most: q4_0, whose
// codes are a block's largest element / 8 apart, moves 32 elements by half a step each and clips
// those that are larger than 7.5 steps by no more than a 7.5th: sqrt(32 / 16^2 + 1 / 7.5^2).
constexpr double kLengthRounding = 0.38;

// A rotated block's rounding may end up in one element: sqrt(32) times an element's share.
double largest_value(double magnitude, DType type) {
  return magnitude * (is_rotated(type) ? 1 + kLengthRounding * std::sqrt(32.0) : 1 + 1.0 / 128);
}

// Scores: a sum of key_size products, key_size / 4 of them one after the other, then the scale:
// (key_size / 4 + 6) roundings of |q| |k| scale. A soft cap adds cap * 2^-21 and its own roundings.
// A weight exp(score - largest) is off by its score's error, the subtraction's rounding and 2^-21
// of the exponential; sums over n positions by n roundings (64 positions a tile, corrected once per
// tile: 4 roundings); splits multiply and add once more. Numerator and denominator each carry that.
// Rotating is one product and five sums per element: each is off by 6 roundings of its block's
// length, which is sqrt(32) largest elements, or all of them together by sqrt(32) times that.
const double kRotation = 6 * std::sqrt(32.0) * kUnit;

double attention_bound(const OpCase& c, const ops::Attention& op, ValueId key, ValueId value,
                       const Heads& heads, std::int64_t positions) {
  const double q = largest_norm(c.input_table(op.query), heads.key_size);
  const double k = largest_norm(c.input_table(key), heads.key_size) * (1 + kLengthRounding);
  const double v = largest_value(largest_magnitude(c.input_table(value)), c.types.value);
  const double largest_score = op.scale * q * k;
  double score = (static_cast<double>(heads.key_size) / 4 + 6) * kUnit * largest_score;
  if (op.soft_cap > 0) score += op.soft_cap * std::pow(2.0, -21) + 4 * kUnit * largest_score;
  if (is_rotated(c.types.key)) score += kRotation * largest_score;
  const double rotation = is_rotated(c.types.value) ? kRotation : 0;
  const TileRounding on_tiles = tile_rounding(c.types.key, c.types.value, c.precision);
  score += on_tiles.scores * largest_score;
  const double weight = on_tiles.weights + score + 2 * kUnit * largest_score + std::pow(2.0, -21);
  const double tiles = static_cast<double>(positions) / 64 + 2;
  const double sums = (static_cast<double>(positions) + 4 * tiles + 8) * kUnit;
  return (2 * (weight + sums + rotation) + on_tiles.values) * v;
}

struct AttentionCase {
  ops::Attention op;
  ValueId key;
  ValueId value;
};

AttentionCase add_attention(OpCase& c, const Heads& heads, const Options& options) {
  AttentionCase out;
  ops::Attention& op = out.op;
  op.state = c.state(heads.kv_count, heads.key_size, heads.value_size);
  out.key = c.input(heads.kv_count * heads.key_size, options.spread);
  out.value = c.input(heads.kv_count * heads.value_size);
  c.before(ops::StateStore{out.key, out.value, op.state});
  op.query = c.input(heads.count * heads.key_size, options.spread);
  op.out = c.output(heads.count * heads.value_size);
  op.head_count = heads.count;
  op.scale = 1.0 / std::sqrt(static_cast<double>(heads.key_size));
  op.window = options.window;
  op.soft_cap = options.soft_cap;
  if (options.sinks) op.sinks = c.vector(heads.count, 1.0);
  return out;
}

void expect_attention(OpCase& c, const Heads& heads, const Options& options,
                      std::int64_t positions) {
  const auto [op, key, value] = add_attention(c, heads, options);
  const double bound = attention_bound(c, op, key, value, heads, positions);
  c.expect_within(op, op.out, [bound](const Element&) { return bound; });
}

// What the CPU computes.
std::vector<float> attend(OpCase& c, const Heads& heads, const Options& options) {
  const ops::Attention op = add_attention(c, heads, options).op;
  return c.run(find_device("cpu"), op, op.out).data;
}

std::string describe(const Heads& h) {
  return std::to_string(h.count) + " heads on " + std::to_string(h.kv_count) + " of " +
         std::to_string(h.key_size) + "/" + std::to_string(h.value_size);
}

// Multi-head, grouped, multi-query wider than a task, sizes no vector divides, keys and values of
// different sizes.
const std::vector<Heads> kHeads = {{1, 1, 32, 32},  {4, 4, 64, 64},    {6, 2, 40, 40},
                                   {11, 1, 16, 16}, {16, 2, 128, 128}, {3, 3, 7, 5},
                                   {2, 1, 96, 33}};

TEST(AttentionTest, MatchesTheReferenceForEveryHeadLayout) {
  for (const Heads& heads : kHeads) {
    for (const std::int64_t rows : {1, 2, 3, 7, 8, 9, 33}) {
      SCOPED_TRACE(describe(heads) + ", rows " + std::to_string(rows));
      OpCase c({{0, rows}});
      expect_attention(c, heads, {}, rows);
    }
  }
}

TEST(AttentionTest, KeepsF32WhereAskedTo) {
  for (const Heads& heads : kHeads) {
    for (const DType type : {DType::F16, DType::Q8_0, DType::Q4_0}) {
      for (const std::int64_t rows : {1, 70}) {
        SCOPED_TRACE(describe(heads) + ", rows " + std::to_string(rows) + ", " +
                     std::string(to_string(type)));
        OpCase c({{40, rows}});
        c.types = {type, type};
        c.precision = Precision::f32;
        expect_attention(c, heads, {.soft_cap = 20.0, .sinks = true}, 40 + rows);
      }
    }
  }
}

// The last of so many positions, computed with others before it: the same bits, and those that the
// bound allows.
TEST(AttentionTest, DeterministicRowsDoNotShowWhatIsComputedWithThem) {
  constexpr std::int64_t kPositions = 1100;  // three splits
  for (const Heads& heads : kHeads) {
    for (const DType type : {DType::F32, DType::F16, DType::Q8_0, DType::Q4_0}) {
      for (const std::int64_t window : {0, 300}) {
        const Options options{
            .window = window, .soft_cap = window > 0 ? 30.0 : 0.0, .sinks = window == 0};
        std::vector<float> alone;
        for (const std::int64_t rows : {1, 2, 8, 9, 70, 1100}) {
          SCOPED_TRACE(describe(heads) + ", rows " + std::to_string(rows) + ", " +
                       std::string(to_string(type)) + ", window " + std::to_string(window));
          OpCase c({{kPositions - rows, rows}});
          c.types = {type, type};
          c.deterministic = true;
          const auto all = attend(c, heads, options);
          const auto columns = static_cast<std::size_t>(heads.count * heads.value_size);
          const std::vector<float> last(all.end() - static_cast<std::ptrdiff_t>(columns),
                                        all.end());
          if (rows == 1) alone = last;
          EXPECT_EQ(last, alone);
        }
      }
    }
  }
}

TEST(AttentionTest, MatchesTheReferenceAroundPageBorders) {
  const Heads heads{4, 2, 32, 32};
  for (const std::int64_t cached : {1, 62, 63, 64, 65, 127, 128, 130}) {
    for (const std::int64_t rows : {1, 2, 9, 17, 65}) {
      SCOPED_TRACE("cached " + std::to_string(cached) + ", rows " + std::to_string(rows));
      OpCase c({{cached, rows}});
      expect_attention(c, heads, {}, cached + rows);
    }
  }
}

// Prompts over several tasks, and over several blocks of the cache.
TEST(AttentionTest, MatchesTheReferenceForLongPrompts) {
  for (const Heads& heads : std::vector<Heads>{{6, 1, 128, 128}, {3, 3, 64, 96}, {8, 1, 32, 32}}) {
    for (const Options& options : std::vector<Options>{
             {}, {.window = 100, .sinks = true}, {.soft_cap = 5.0}, {.spread = 4.0}}) {
      for (const CaseSequence& sequence : {CaseSequence{0, 301}, CaseSequence{600, 150}}) {
        SCOPED_TRACE(describe(heads) + ", window " + std::to_string(options.window) + ", cached " +
                     std::to_string(sequence.cached));
        OpCase c({sequence});
        expect_attention(c, heads, options, sequence.cached + sequence.rows);
      }
    }
  }
}

// A prompt in blocks that depend on the number of threads.
TEST(AttentionTest, DoesNotShowWhichRowsShareATask) {
  const auto run = [](int threads, std::int64_t window) {
    OpCase c({{70, 200}, {0, 37}});
    c.threads = threads;
    const StateId state = c.state(1, 64, 64);
    c.before(ops::StateStore{c.input(64), c.input(64), state});
    ops::Attention op;
    op.query = c.input(3 * 64, 3.0);
    op.out = c.output(3 * 64);
    op.state = state;
    op.head_count = 3;
    op.scale = 0.125;
    op.window = window;
    std::vector<std::vector<float>> results;
    for (const Device* device : devices_under_test()) {
      results.push_back(c.run(*device, op, op.out).data);
    }
    return results;
  };
  for (const std::int64_t window : {0, 50}) {
    const auto one = run(1, window);
    EXPECT_EQ(run(3, window), one);
    EXPECT_EQ(run(16, window), one);
  }
}

// Steps of few rows are cut into splits of 512 positions.
TEST(AttentionTest, MatchesTheReferenceAroundSplitBorders) {
  const Heads heads{6, 2, 32, 48};
  for (const std::int64_t cached : {255, 256, 510, 511, 512, 513, 1023, 1200}) {
    for (const std::int64_t rows : {1, 3, 8, 9}) {
      for (const bool sinks : {false, true}) {
        SCOPED_TRACE("cached " + std::to_string(cached) + ", rows " + std::to_string(rows));
        OpCase c({{cached, rows}});
        expect_attention(c, heads, {.sinks = sinks}, cached + rows);
      }
    }
  }
}

TEST(AttentionTest, MatchesTheReferenceForEveryPairOfCacheTypes) {
  for (const DType key : kCacheTypes) {
    for (const DType value : kCacheTypes) {
      for (const std::int64_t rows : {1, 12}) {
        SCOPED_TRACE(std::string(to_string(key)) + "/" + std::string(to_string(value)));
        OpCase c({{70, rows}});
        c.types = {key, value};
        expect_attention(c, {4, 2, 40, 32}, {}, 70 + rows);  // 40: q8_0 and q4_0 pad the row
      }
    }
  }
}

TEST(AttentionTest, LooksBackNoFurtherThanItsWindow) {
  for (const std::int64_t window : {1, 2, 16, 63, 64, 65, 200, 1000}) {
    for (const CaseSequence& sequence :
         {CaseSequence{0, 1}, CaseSequence{0, 70}, CaseSequence{300, 1}, CaseSequence{300, 20},
          CaseSequence{520, 4}}) {
      SCOPED_TRACE("window " + std::to_string(window) + ", cached " +
                   std::to_string(sequence.cached) + ", rows " + std::to_string(sequence.rows));
      OpCase c({sequence});
      expect_attention(c, {4, 2, 32, 32}, {.window = window, .sinks = window % 2 == 0},
                       sequence.cached + sequence.rows);
    }
  }
}

// Scores of a few units, where the bound is tight, and of several caps.
TEST(AttentionTest, CapsScores) {
  for (const double cap : {1.0, 5.0, 50.0}) {
    for (const double spread : {0.5, 1.0, 3.0}) {
      OpCase c({{40, 9}});
      expect_attention(c, {4, 2, 64, 64}, {.soft_cap = cap, .spread = spread}, 49);
    }
  }
}

// Of queries that are zero all weights are 1, which nothing rounds: the output is the mean of the
// values, as exact as they are in the cache. Bits that a kernel drops show.
TEST(AttentionTest, KeepsTheBitsOfValues) {
  for (const DType key : kCacheTypes) {
    for (const DType value : kCacheTypes) {
      for (const CaseSequence& sequence : {CaseSequence{0, 5}, CaseSequence{70, 40}}) {
        SCOPED_TRACE(std::string(to_string(key)) + "/" + std::string(to_string(value)));
        OpCase c({sequence});
        c.types = {key, value};
        const Heads heads{6, 2, 32, 64};
        const StateId state = c.state(heads.kv_count, heads.key_size, heads.value_size);
        const ValueId values = c.input(heads.kv_count * heads.value_size);
        c.before(ops::StateStore{c.input(heads.kv_count * heads.key_size), values, state});
        ops::Attention op;
        const std::int64_t positions = sequence.cached + sequence.rows;
        const std::int64_t columns = heads.count * heads.key_size;
        op.query = c.input_of(
            columns, std::vector<float>(static_cast<std::size_t>(columns * positions), 0.0F));
        op.out = c.output(heads.count * heads.value_size);
        op.state = state;
        op.head_count = heads.count;
        const double largest = largest_value(largest_magnitude(c.input_table(values)), value);
        const double sums = static_cast<double>(positions + 16) * kUnit;
        const double rotation = is_rotated(value) ? kRotation : 0;
        const double bound = (2 * (sums + rotation) + tile_rounding(key, value).values) * largest;
        c.expect_within(op, op.out, [bound](const Element&) { return bound; });
      }
    }
  }
}

// Two positions with values 0 and 1 and scores 0 and cap * tanh(x / cap): the output is the sigmoid
// of the latter, so that the cap's own error shows. A head for each x.
TEST(AttentionTest, CapsScoresExactly) {
  constexpr double kCap = 5.0;
  std::vector<float> keys;
  for (double x = 1e-3; x < 100.0; x *= 1.1) {
    keys.push_back(static_cast<float>(x));
    keys.push_back(static_cast<float>(-x));
  }
  const auto heads = static_cast<std::int64_t>(keys.size());
  std::vector<float> key_rows(keys.size(), 0.0F);
  key_rows.insert(key_rows.end(), keys.begin(), keys.end());
  std::vector<float> value_rows(keys.size(), 0.0F);
  value_rows.insert(value_rows.end(), keys.size(), 1.0F);
  OpCase c({{1, 1}});
  const StateId state = c.state(heads, 1, 1);
  c.before(ops::StateStore{c.input_of(heads, key_rows), c.input_of(heads, value_rows), state});
  ops::Attention op;
  op.query = c.input_of(heads, std::vector<float>(2 * keys.size(), 1.0F));
  op.out = c.output(heads);
  op.state = state;
  op.head_count = heads;
  op.soft_cap = kCap;
  c.expect_within(op, op.out, [&](const Element& e) {
    const double x = std::abs(static_cast<double>(keys[static_cast<std::size_t>(e.column)]));
    const double score = kCap * std::pow(2.0, -21) + 6 * kUnit * std::min(x, kCap);
    const double slope = e.expected * (1 - e.expected);  // of the sigmoid
    return slope * (score + 2 * std::pow(2.0, -21)) + 6 * kUnit * e.expected;
  });
}

TEST(AttentionTest, GivesSinksTheirShareOnce) {
  for (const std::int64_t rows : {1, 20}) {
    OpCase c({{100, rows}});
    expect_attention(c, {6, 3, 32, 32}, {.sinks = true}, 100 + rows);
  }
}

// Scores of several hundred: a softmax without its maximum would overflow.
TEST(AttentionTest, StandsLargeScores) {
  for (const CaseSequence& sequence : {CaseSequence{600, 1}, CaseSequence{0, 80}}) {
    OpCase c({sequence});
    expect_attention(c, {2, 1, 64, 64}, {.spread = 12.0}, sequence.cached + sequence.rows);
  }
}

// Queries that are no numbers, one with all bits set, spoil their own results and no others.
TEST(AttentionTest, KeepsNanToItsQuery) {
  constexpr std::int64_t kCount = 6;
  constexpr std::int64_t kSize = 64;
  const auto run = [](const Device& device, DType type, bool with_nan) {
    OpCase c({{70, 40}});
    c.types = {type, type};
    const StateId state = c.state(2, kSize, kSize);
    c.before(ops::StateStore{c.input(2 * kSize), c.input(2 * kSize), state});
    ops::Attention op;
    op.query = c.input(kCount * kSize);
    std::vector<float> queries = c.input_table(op.query);
    if (with_nan) {
      // Inputs have rows of what is cached, too.
      queries[((70 + 10) * kCount + 2) * kSize + 5] = std::bit_cast<float>(0xffffffffU);
      queries[((70 + 30) * kCount + 4) * kSize + 40] = std::numeric_limits<float>::infinity();
    }
    op.query = c.input_of(kCount * kSize, queries);
    op.out = c.output(kCount * kSize);
    op.state = state;
    op.head_count = kCount;
    op.scale = 0.125;
    return c.run(device, op, op.out).data;
  };
  for (const Device* device : devices_under_test()) {
    for (const DType type : kCacheTypes) {
      SCOPED_TRACE(to_string(type));
      const std::vector<float> clean = run(*device, type, false);
      const std::vector<float> got = run(*device, type, true);
      ASSERT_EQ(got.size(), clean.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const auto query = static_cast<std::int64_t>(i) / kSize;
        const bool is_spoilt = query == 10 * kCount + 2 || query == 30 * kCount + 4;
        ASSERT_TRUE(is_spoilt ? std::isnan(got[i]) : got[i] == clean[i]) << "element " << i;
      }
    }
  }
}

// Sequences of other lengths in one step; one split, one not; more rows than are ever split.
TEST(AttentionTest, KeepsSequencesApart) {
  const Heads heads{4, 2, 32, 32};
  for (const auto& sequences : std::vector<std::vector<CaseSequence>>{
           {{0, 1}, {600, 1}, {64, 1}},
           {{300, 2}, {10, 3}, {0, 3}},
           {{300, 1}, {0, 40}, {65, 1}, {63, 2}},
       }) {
    OpCase c(sequences);
    expect_attention(c, heads, {}, 700);
  }
}

TEST(AttentionTest, DoesNotDependOnTheNumberOfThreads) {
  const auto run = [](int threads) {
    OpCase c({{500, 3}});
    c.threads = threads;
    const StateId state = c.state(2, 64, 64);
    c.before(ops::StateStore{c.input(128), c.input(128), state});
    ops::Attention op;
    op.query = c.input(4 * 64);
    op.out = c.output(4 * 64);
    op.state = state;
    op.head_count = 4;
    op.scale = 0.125;
    std::vector<std::vector<float>> results;
    for (const Device* device : devices_under_test()) {
      results.push_back(c.run(*device, op, op.out).data);
    }
    return results;
  };
  const auto one = run(1);
  EXPECT_EQ(run(2), one);
  EXPECT_EQ(run(5), one);
}

}  // namespace
}  // namespace ingot::test
