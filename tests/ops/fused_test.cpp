// Instructions that a device fuses give the bits that they give one by one.
#include <gtest/gtest.h>

#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

struct GatedCase {
  DType gate = DType::Q4_K;
  DType up = DType::Q4_K;
  DType down = DType::Q4_K;
  std::int64_t hidden = 256;
  std::int64_t feed_forward = 512;
  ops::ActivationKind kind = ops::ActivationKind::silu;
  double limit = 0.0;
  bool has_biases = false;
  bool up_is_first = false;
  std::int64_t out = 0;  ///< columns behind; 0: as hidden
};

// MatMul of gate and up, Glu, MatMul: how many of the three ran as one.
void expect_same_bits(const GatedCase& g, std::int64_t rows, bool is_fused) {
  SCOPED_TRACE("rows " + std::to_string(rows) + ", gate " + std::string(to_string(g.gate)) +
               ", up " + std::string(to_string(g.up)) + ", down " + std::string(to_string(g.down)) +
               ", feed-forward " + std::to_string(g.feed_forward));
  OpCase c({{0, rows}});
  const auto bias = [&] {
    return g.has_biases ? std::optional(c.vector(g.feed_forward)) : std::nullopt;
  };
  ops::MatMul first;
  first.in = c.input(g.hidden);
  first.parts.push_back(
      {c.whole(c.tensor(g.gate, g.hidden, g.feed_forward)), bias(), c.output(g.feed_forward)});
  first.parts.push_back(
      {c.whole(c.tensor(g.up, g.hidden, g.feed_forward)), bias(), c.output(g.feed_forward)});
  ops::Glu glu{g.kind, first.parts[0].out, first.parts[1].out, c.output(g.feed_forward)};
  glu.limit = g.limit;
  if (g.up_is_first) std::swap(glu.gate, glu.up);
  ops::MatMul next;
  next.in = glu.out;
  const std::int64_t out = g.out == 0 ? g.hidden : g.out;
  next.parts.push_back(
      {c.whole(c.tensor(g.down, g.feed_forward, out)), std::nullopt, c.output(out)});
  c.before(first);
  c.before(glu);
  for (const Device* device : devices_under_test()) {
    const Recorded one_by_one = c.run(*device, next, next.parts[0].out);
    const OpCase::Fused fused = c.run_fused(*device, next, next.parts[0].out);
    EXPECT_EQ(fused.data, one_by_one.data) << device->info().name;
    // The input's row look-up, then two of the three or all.
    EXPECT_EQ(fused.parts, is_fused ? 3 : 4) << device->info().name;
  }
}

constexpr std::int64_t kFusedRows[] = {1, 3, 8, 9, 40, 300};

TEST(FusedTest, GatedProductsGiveTheSameBits) {
  for (const std::int64_t rows : kFusedRows) {
    for (const DType type : {DType::Q4_K, DType::Q8_0, DType::Q6_K, DType::IQ4_NL}) {
      expect_same_bits({.gate = type, .up = type, .down = type}, rows, true);
    }
  }
}

// Broken by a path that is gate's but not up's, or by prepared activations of the wrong weight.
TEST(FusedTest, GatedProductsOfMixedFormats) {
  for (const std::int64_t rows : kFusedRows) {
    expect_same_bits({.gate = DType::Q4_K, .up = DType::Q6_K, .down = DType::Q5_K}, rows, true);
    expect_same_bits({.gate = DType::F16, .up = DType::F16, .down = DType::Q8_0}, rows, true);
    expect_same_bits({.down = DType::F16}, rows, false);
    expect_same_bits({.gate = DType::F32, .up = DType::Q8_0}, rows, false);
  }
}

// Columns that are no whole tasks, of either weight.
TEST(FusedTest, GatedProductsOfOddWidths) {
  for (const std::int64_t rows : kFusedRows) {
    for (const std::int64_t columns : {32, 96, 160, 1056, 2080}) {
      expect_same_bits({.gate = DType::Q8_0,
                        .up = DType::Q8_0,
                        .down = DType::Q8_0,
                        .hidden = 96,
                        .feed_forward = columns},
                       rows, true);
    }
  }
}

// Weight rows that are no whole groups of 16 may want their activations as a matrix.
TEST(FusedTest, ProductsOfOddNumbersOfRowsAreKept) {
  for (const std::int64_t rows : kFusedRows) expect_same_bits({.out = 40}, rows, false);
}

TEST(FusedTest, GatedProductsWithBiasesLimitsAndOtherFunctions) {
  for (const std::int64_t rows : {1, 20}) {
    expect_same_bits({.has_biases = true}, rows, true);
    expect_same_bits({.limit = 0.5, .has_biases = true}, rows, true);
    expect_same_bits({.kind = ops::ActivationKind::gelu_tanh, .up_is_first = true}, rows, true);
  }
}

struct NormCase {
  bool has_add = true;
  ops::NormKind kind = ops::NormKind::rms;
  std::int64_t group = 256;  ///< of 256 columns
  DType key = DType::Q8_0;   ///< of the second of two products
  bool is_gated = false;     ///< a feed-forward behind
  std::int64_t out = 96;     ///< columns of the products
};

// Add, Norm and the products behind: how many parts ran, the input's row look-up among them.
void expect_norm_same_bits(const NormCase& n, std::int64_t rows, std::size_t parts) {
  SCOPED_TRACE("rows " + std::to_string(rows) + ", add " + std::to_string(n.has_add) + ", group " +
               std::to_string(n.group) + ", key " + std::string(to_string(n.key)));
  constexpr std::int64_t kColumns = 256;
  OpCase c({{0, rows}});
  ops::Norm norm;
  norm.in = c.input(kColumns);
  if (n.has_add) {
    const ops::Add add{norm.in, norm.in, c.output(kColumns)};
    c.before(add);
    norm.in = add.out;
  }
  norm.kind = n.kind;
  norm.group_size = n.group;
  norm.weight = c.vector(n.group);
  if (n.kind == ops::NormKind::layer) norm.bias = c.vector(kColumns);
  norm.out = c.output(kColumns);
  c.before(norm);
  ops::MatMul first;
  first.in = norm.out;
  for (const DType type : {DType::Q8_0, n.key}) {
    first.parts.push_back(
        {c.whole(c.tensor(type, kColumns, n.out)), std::nullopt, c.output(n.out)});
  }
  ops::MatMul last = first;
  if (n.is_gated) {
    c.before(first);
    const ops::Glu glu{ops::ActivationKind::silu, first.parts[0].out, first.parts[1].out,
                       c.output(96)};
    c.before(glu);
    last.in = glu.out;
    last.parts = {{c.whole(c.tensor(DType::Q8_0, 96, 64)), std::nullopt, c.output(64)}};
  }
  for (const Device* device : devices_under_test()) {
    for (const ops::MatMul::Part& part : last.parts) {
      const OpCase::Fused fused = c.run_fused(*device, last, part.out);
      EXPECT_EQ(fused.data, c.run(*device, last, part.out).data) << device->info().name;
      EXPECT_EQ(fused.parts, parts) << device->info().name;
    }
  }
}

TEST(FusedTest, NormsBeforeProductsGiveTheSameBits) {
  for (const std::int64_t rows : kFusedRows) {
    expect_norm_same_bits({}, rows, 2);
    expect_norm_same_bits({.has_add = false}, rows, 2);
    expect_norm_same_bits({.has_add = false, .kind = ops::NormKind::layer}, rows, 2);
    expect_norm_same_bits({.group = 64, .key = DType::Q6_K}, rows, 2);
    expect_norm_same_bits({.is_gated = true}, rows, 3);
  }
}

// A product that reads its input as it is needs the Norm's result as a matrix.
TEST(FusedTest, NormsBeforeProductsWithFloatsAreKept) {
  for (const std::int64_t rows : {1, 40}) {
    expect_norm_same_bits({.key = DType::F32}, rows, 4);
    expect_norm_same_bits({.out = 40}, rows, 4);
  }
}

TEST(FusedTest, NormsWithOtherReadersAreKept) {
  OpCase c({{0, 20}});
  ops::Norm norm;
  norm.in = c.input(256);
  norm.group_size = 256;
  norm.out = c.output(256);
  ops::MatMul product;
  product.in = norm.out;
  product.parts.push_back({c.whole(c.tensor(DType::Q8_0, 256, 256)), std::nullopt, c.output(256)});
  c.before(norm);
  c.before(product);
  const ops::Add sum{product.parts[0].out, norm.out, c.output(256)};
  for (const Device* device : devices_under_test()) {
    const OpCase::Fused fused = c.run_fused(*device, sum, sum.out);
    EXPECT_EQ(fused.data, c.run(*device, sum, sum.out).data);
    EXPECT_EQ(fused.parts, 4);
  }
}

struct AttentionCase {
  bool has_rope = true;
  bool has_key_norm = false;
  ops::RopeLayout layout = ops::RopeLayout::neox;
  std::int64_t rotary_size = 64;
  std::int64_t value_size = 64;
  DType cache = DType::F16;
  DType next = DType::Q8_0;
};

// Rope, what prepares the keys, Attention and the product behind, of six heads on two: which parts
// ran, the three inputs' row look-ups among them.
void expect_attention_same_bits(const AttentionCase& a, std::int64_t rows, std::size_t parts) {
  SCOPED_TRACE("rows " + std::to_string(rows) + ", rotary " + std::to_string(a.rotary_size) +
               ", values of " + std::to_string(a.value_size) + ", cache " +
               std::string(to_string(a.cache)) + ", next " + std::string(to_string(a.next)));
  // Rows that are no whole tiles, and sequences that begin within one.
  OpCase c({{70, rows}, {3, 21}, {0, 1}});
  c.types = {a.cache, a.cache};
  constexpr std::int64_t kHead = 64;
  const StateId state = c.state(2, kHead, a.value_size);
  ValueId query = c.input(6 * kHead);
  ValueId key = c.input(2 * kHead);
  const ValueId value = c.input(2 * a.value_size);
  const std::int32_t table = c.rope_table(a.rotary_size, 1.1);
  const auto turned = [&](ValueId in, std::int64_t heads) {
    ops::Rope rope{in, c.output(heads * kHead), table, a.layout, kHead, a.rotary_size};
    c.before(rope);
    return rope.out;
  };
  if (a.has_rope) query = turned(query, 6);
  if (a.has_key_norm) {
    ops::Norm norm;
    norm.in = key;
    norm.group_size = kHead;
    norm.weight = c.vector(kHead);
    norm.out = key = c.output(2 * kHead);
    c.before(norm);
  }
  if (a.has_rope) key = turned(key, 2);
  c.before(ops::StateStore{key, value, state});
  ops::Attention attention;
  attention.query = query;
  attention.out = c.output(6 * a.value_size);
  attention.state = state;
  attention.head_count = 6;
  attention.scale = 0.125;
  c.before(attention);
  ops::MatMul next;
  next.in = attention.out;
  next.parts.push_back(
      {c.whole(c.tensor(a.next, 6 * a.value_size, 96)), std::nullopt, c.output(96)});
  for (const Device* device : devices_under_test()) {
    const OpCase::Fused fused = c.run_fused(*device, next, next.parts[0].out);
    EXPECT_EQ(fused.data, c.run(*device, next, next.parts[0].out).data) << device->info().name;
    EXPECT_EQ(fused.parts, parts) << device->info().name;
  }
}

TEST(FusedTest, AttentionTurnsItsQueriesAndPreparesItsResultsWithTheSameBits) {
  for (const std::int64_t rows : kFusedRows) {
    for (const DType cache : {DType::F32, DType::F16, DType::Q8_0, DType::Q4_0}) {
      expect_attention_same_bits({.cache = cache}, rows, 5);
    }
    expect_attention_same_bits({.has_key_norm = true, .next = DType::Q4_1}, rows, 5);
    expect_attention_same_bits({.layout = ops::RopeLayout::norm, .rotary_size = 32}, rows, 5);
    expect_attention_same_bits({.value_size = 16}, rows, 5);
    expect_attention_same_bits({.next = DType::F32}, rows, 5);
    expect_attention_same_bits({.has_rope = false}, rows, 6);
  }
}

// Turned queries that somebody else reads must exist, and so must queries as they were.
TEST(FusedTest, QueriesWithOtherReadersAreKept) {
  for (const bool reads_turned : {false, true}) {
    OpCase c({{0, 20}});
    const StateId state = c.state(1, 64, 64);
    ops::Rope rope{c.input(64), c.output(64), c.rope_table(64), ops::RopeLayout::neox, 64, 64};
    c.before(rope);
    c.before(ops::StateStore{c.input(64), c.input(64), state});
    ops::Attention attention;
    attention.query = rope.out;
    attention.out = c.output(64);
    attention.state = state;
    attention.head_count = 1;
    c.before(attention);
    const ops::Add sum{attention.out, reads_turned ? rope.out : rope.in, c.output(64)};
    for (const Device* device : devices_under_test()) {
      const OpCase::Fused fused = c.run_fused(*device, sum, sum.out);
      EXPECT_EQ(fused.data, c.run(*device, sum, sum.out).data);
      EXPECT_EQ(fused.parts, 7);
    }
  }
}

// Results that somebody else reads must exist as a matrix.
TEST(FusedTest, AttentionWithOtherReadersIsKept) {
  OpCase c({{0, 20}});
  const StateId state = c.state(1, 64, 64);
  c.before(ops::StateStore{c.input(64), c.input(64), state});
  ops::Attention attention;
  attention.query = c.input(64);
  attention.out = c.output(64);
  attention.state = state;
  attention.head_count = 1;
  c.before(attention);
  ops::MatMul next;
  next.in = attention.out;
  next.parts.push_back({c.whole(c.tensor(DType::Q8_0, 64, 64)), std::nullopt, c.output(64)});
  c.before(next);
  const ops::Add sum{attention.out, next.parts[0].out, c.output(64)};
  for (const Device* device : devices_under_test()) {
    EXPECT_EQ(c.run_fused(*device, sum, sum.out).data, c.run(*device, sum, sum.out).data);
  }
}

// A value that somebody else reads must exist.
TEST(FusedTest, ValuesWithOtherReadersAreKept) {
  OpCase c({{0, 5}});
  ops::MatMul first;
  first.in = c.input(256);
  for (int part = 0; part < 2; ++part) {
    first.parts.push_back({c.whole(c.tensor(DType::Q8_0, 256, 256)), std::nullopt, c.output(256)});
  }
  const ops::Glu glu{ops::ActivationKind::silu, first.parts[0].out, first.parts[1].out,
                     c.output(256)};
  ops::MatMul next;
  next.in = glu.out;
  next.parts.push_back({c.whole(c.tensor(DType::Q8_0, 256, 256)), std::nullopt, c.output(256)});
  c.before(first);
  c.before(glu);
  c.before(next);
  for (const ValueId also_read : {glu.gate, glu.up, glu.out}) {
    const ops::Add sum{next.parts[0].out, also_read, c.output(256)};
    for (const Device* device : devices_under_test()) {
      EXPECT_EQ(c.run_fused(*device, sum, sum.out).data, c.run(*device, sum, sum.out).data);
    }
  }
}

}  // namespace
}  // namespace ingot::test
