// LatentAttention: broken by a wrong head's slice of kv_b, a transpose, a latent row read as a key
// or a value of another width, or a page, mask border or split that differs from attention's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "cpu/ops/matmul.hpp"
#include "src/device/registry.hpp"
#include "tests/ops/product_bound.hpp"
#include "tests/ops/tile_rounding.hpp"
#include "tests/support/all_formats.hpp"
#include "tests/support/cache_types.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

struct Sizes {
  std::int64_t heads = 4;
  std::int64_t latent = 64;
  std::int64_t plain = 32;
  std::int64_t turned = 16;
  std::int64_t value = 32;
};

// Largest Euclidean norm of the rows of `size` columns of a table.
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

// Euclidean norms of a weight, of what its elements are made of (Column in product_bound.hpp), and
// of their scales.
struct WeightSize {
  double norm = 0;
  double size = 0;
  double scale = 0;

  void add(const WeightSize& part) {
    norm = std::hypot(norm, part.norm);
    size = std::hypot(size, part.size);
    scale = std::hypot(scale, part.scale);
  }
  void grow(const WeightSize& other) {
    norm = std::max(norm, other.norm);
    size = std::max(size, other.size);
    scale = std::max(scale, other.scale);
  }
};

struct HeadSizes {
  WeightSize largest_head;
  WeightSize largest_row;
};

// Over the heads; rows are those of the weight as it is stored.
HeadSizes sizes_of(const OpCase& c, const ops::LatentAttention& op,
                   ops::HeadWeight (*weight)(const ops::LatentAttention&, std::int64_t)) {
  HeadSizes out;
  for (std::int64_t h = 0; h < op.head_count; ++h) {
    const WeightOperand operand = weight(op, h).weight;
    WeightSize head;
    for (std::int64_t r = 0; r < operand.rows.size(); ++r) {
      const WeightRow decoded = weight_row_for_bound(c, operand, r);
      WeightSize row;
      for (std::size_t i = 0; i < decoded.decoded.size(); ++i) {
        const Column& column = decoded.columns[i];
        row.add({std::abs(static_cast<double>(decoded.decoded[i])), column.size, column.scale});
      }
      head.add(row);
      out.largest_row.grow(row);
    }
    out.largest_head.grow(head);
  }
  return out;
}

// What a product of x with rows of a weight is off by besides f32 sums of the decoded weights, per
// |x|, where `rows` rows are multiplied together: error_of in product_bound.hpp in terms of norms.
// A row's gives one element, a matrix's the norm of the result.
double path_rounding(DType type, std::int64_t rows, std::int64_t columns, const WeightSize& w) {
  const internal::cpu::KernelTable& table = internal::cpu::select_target();
  const auto count = static_cast<double>(columns);
  const internal::cpu::Form* form =
      internal::cpu::choose_product(table, {}, table.format(type)).of(rows).form;
  if (form == &internal::cpu::forms::plain) return 0;
  if (form == &internal::cpu::forms::tiles) {
    return (std::pow(2.0, -8) + std::pow(2.0, -18)) * w.norm + 640 * kUnit * w.scale +
           (count + 2) * kUnit * w.size;
  }
  // No block's largest magnitude exceeds |x|, and sums of magnitudes are at most the root of their
  // number times the norm.
  const double step =
      (0.5 + std::pow(2.0, -7)) / internal::cpu::kLargestActivation * std::sqrt(count);
  return step * w.norm + (count / 32 + 9) * kUnit * (1 + step) * w.size;
}

// A cache type moves a stored element by at most this share of the largest of its block.
constexpr double kLargestRounding = 1.0 / 8;  // q4_0

bool may_be_expanded(const OpCase& c, DType weight) {
  const internal::cpu::KernelTable& table = internal::cpu::select_target();
  return c.types.key != DType::F32 && internal::cpu::may_expand(table, {}, table.format(weight)) &&
         c.total_rows() > internal::cpu::kFewRows;
}

// With |K| the Frobenius norm of a head's key weight, a product K^T q is off by (plain + 4)
// roundings of |K||q|, the score by that times the latent and by (key columns + 6) roundings of its
// own terms; then as attention (attention_test.cpp): weights, sums over the n positions, of latents
// no larger than c. The value weight sums `latent` products with weighted latents of norm at most
// |c|. Products on other paths than that of floats add what they round; where they take tiles, keys
// and values may be made of the latents first and kept as f16. `exact_value`: the largest value,
// where no product rounds.
double bound(const OpCase& c, const ops::LatentAttention& op, ValueId turned, ValueId latent,
             const Sizes& s, std::int64_t positions, std::optional<double> exact_value = {}) {
  const bool are_products_exact = exact_value.has_value();
  const double grow =
      are_products_exact ? 1 : 1 + kLargestRounding * std::sqrt(static_cast<double>(s.latent));
  const double q = largest_norm(c.input_table(op.query), s.plain + s.turned);
  const double r = largest_norm(c.input_table(turned), s.turned) * grow;
  const double l = largest_norm(c.input_table(latent), s.latent) * grow;
  const std::int64_t rows = c.total_rows();
  const WeightSize keys = sizes_of(c, op, ops::key_weight).largest_head;
  const WeightSize values = sizes_of(c, op, ops::value_weight).largest_row;
  const DType key_type = c.program().tensor(op.keys.tensor).type;
  const DType value_type = c.program().tensor(op.values.value_or(op.keys).tensor).type;
  const double exact = are_products_exact ? 0.0 : 1.0;
  const double absorbed = op.values ? exact * path_rounding(key_type, rows, s.plain, keys) : 0.0;
  const double largest_score = op.scale * q * (keys.norm * l + r);
  double expanded_score = 0;
  double expanded_value = 0;
  if (!are_products_exact && may_be_expanded(c, key_type)) {
    const double half = std::pow(2.0, -11) * (1 + std::pow(2.0, -6));
    expanded_score =
        op.scale * q *
        (path_rounding(key_type, rows, s.latent, keys) * l + half * (keys.norm * l + r));
    expanded_value = half * values.norm * l;
  }
  const TileRounding on_tiles = tile_rounding(c.types.key, c.types.key);
  const double score =
      (static_cast<double>(s.plain + s.latent + s.turned + 10) * kUnit + on_tiles.scores) *
          largest_score +
      op.scale * q * absorbed * l + expanded_score;
  const double weight = on_tiles.weights + score + 2 * kUnit * largest_score + std::pow(2.0, -21);
  const double tiles = static_cast<double>(positions) / 64 + 2;
  const double sums = (static_cast<double>(positions) + 4 * tiles + 8) * kUnit;
  const double expanded = static_cast<double>(s.latent + 4) * kUnit + on_tiles.values;
  return 2 * weight * exact_value.value_or(values.norm * l) +
         (2 * sums + expanded) * values.norm * l +
         exact * path_rounding(value_type, rows, s.latent, values) * l + expanded_value;
}

// The largest magnitude of a product of a row of one matrix and a row of the other.
double largest_product(const std::vector<float>& a, const std::vector<float>& b,
                       std::size_t columns) {
  double largest = 0;
  for (auto i = a.begin(); i != a.end(); i += static_cast<std::ptrdiff_t>(columns)) {
    for (auto j = b.begin(); j != b.end(); j += static_cast<std::ptrdiff_t>(columns)) {
      const auto end = i + static_cast<std::ptrdiff_t>(columns);
      largest = std::max(largest, std::abs(std::inner_product(i, end, j, 0.0)));
    }
  }
  return largest;
}

void expect_latent(OpCase& c, const Sizes& s, bool split, std::int64_t positions,
                   DType type = DType::F32) {
  ops::LatentAttention op;
  op.state = c.latent_state(s.latent, s.turned);
  const ValueId turned = c.input(s.turned);
  const ValueId latent = c.input(s.latent);
  c.before(ops::StateStore{turned, latent, op.state});
  op.query = c.input(s.heads * (s.plain + s.turned));
  op.out = c.output(s.heads * s.value);
  if (split) {
    op.keys = c.all_experts(c.tensor(type, s.plain, s.latent, s.heads));
    op.values = c.all_experts(c.tensor(type, s.latent, s.value, s.heads));
  } else {
    op.keys = c.whole(c.tensor(type, s.latent, s.heads * (s.plain + s.value)));
  }
  op.head_count = s.heads;
  op.plain_size = s.plain;
  op.turned_size = s.turned;
  op.value_size = s.value;
  op.scale = 1.0 / std::sqrt(static_cast<double>(s.plain + s.turned));
  const double allowed = bound(c, op, turned, latent, s, positions);
  c.expect_within(op, op.out, [allowed](const Element&) { return allowed; });
}

// Sizes no vector divides, one head, more heads than attention's tasks take, DeepSeek-V2-Lite's.
const std::vector<Sizes> kSizes = {
    {}, {1, 32, 8, 4, 5}, {3, 40, 7, 2, 33}, {20, 32, 16, 8, 16}, {2, 512, 128, 64, 128}};

TEST(LatentAttentionTest, MatchesTheReferenceForEveryShapeInBothLayouts) {
  for (const Sizes& sizes : kSizes) {
    for (const std::int64_t rows : {1, 2, 7, 9, 33, 70}) {
      for (const bool split : {false, true}) {
        SCOPED_TRACE(std::to_string(sizes.heads) + " heads, latent " +
                     std::to_string(sizes.latent) + ", rows " + std::to_string(rows) +
                     (split ? ", split" : ""));
        OpCase c({{0, rows}});
        expect_latent(c, sizes, split, rows);
      }
    }
  }
}

TEST(LatentAttentionTest, MatchesTheReferenceAroundPageAndSplitBorders) {
  for (const std::int64_t cached : {1, 63, 64, 255, 256, 300}) {
    for (const std::int64_t rows : {1, 3, 20}) {
      SCOPED_TRACE("cached " + std::to_string(cached) + ", rows " + std::to_string(rows));
      OpCase c({{cached, rows}});
      expect_latent(c, {}, rows == 3, cached + rows);
    }
  }
}

// 40 + 16 columns: q8_0 and q4_0 pad the row, and a block holds the latent's end and what follows.
TEST(LatentAttentionTest, MatchesTheReferenceForEveryCacheType) {
  for (const DType key : kCacheTypes) {
    for (const std::int64_t rows : {1, 12}) {
      SCOPED_TRACE(std::string(to_string(key)));
      OpCase c({{70, rows}});
      c.types = {key, DType::F32};
      expect_latent(c, {.latent = 40}, false, 70 + rows);
    }
  }
}

TEST(LatentAttentionTest, MatchesTheReferenceForQuantizedWeights) {
  const Sizes sizes{.heads = 2, .latent = 256, .plain = 64, .turned = 16, .value = 32};
  for (const DType type : {DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q5_1}) {
    for (const bool split : {false, true}) {
      SCOPED_TRACE(std::string(to_string(type)) + (split ? ", split" : ""));
      OpCase c({{10, 5}});
      expect_latent(c, sizes, split, 15, type);
    }
  }
  for (const DType type : {DType::Q4_K, DType::Q6_K, DType::IQ4_XS}) {
    OpCase c({{10, 5}});
    expect_latent(c, sizes, false, 15, type);
  }
}

// The bounds above grow with the largest products that rounding to bf16 might move; here none is
// rounded, so that a wrong row, head or position shows. Weights are eighths of integers, with one
// that makes a block's scale a power of two; latents are 0 or +-1; keys and values are exact in
// f16.
TEST(LatentAttentionTest, IsExactButForTheSoftmaxWhereProductsAre) {
  const Sizes s{.heads = 3, .latent = 256, .plain = 32, .turned = 32, .value = 48};
  for (const auto& [cached, rows] : {std::pair{0, 9}, {0, 130}, {0, 300}, {70, 64}, {3, 2}}) {
    for (const bool split : {false, true}) {
      SCOPED_TRACE("cached " + std::to_string(cached) + ", rows " + std::to_string(rows) +
                   (split ? ", split" : ""));
      OpCase c({{cached, rows}});
      c.types = {DType::F16, DType::F16};
      const auto integers = [&](std::int64_t count, int largest, float unit) {
        std::uniform_int_distribution<int> distribution(-largest, largest);
        std::vector<float> out(static_cast<std::size_t>(count));
        for (float& x : out) x = static_cast<float>(distribution(c.random())) * unit;
        return out;
      };
      std::vector<float> data;  // of the last weight
      const auto weights = [&](std::int64_t columns, std::int64_t all_rows, std::int64_t experts) {
        data = integers(columns * all_rows * experts, 3, 0.125F);
        for (std::size_t i = 0; i < data.size(); i += 32) data[i + i / 32 % 32] = -1.0F;
        return c.all_experts(c.tensor_of(data, columns, all_rows, experts, DType::Q4_0));
      };
      const std::int64_t positions = cached + rows;
      ops::LatentAttention op;
      op.state = c.latent_state(s.latent, s.turned);
      const ValueId turned = c.input_of(s.turned, integers(positions * s.turned, 2, 1.0F));
      const ValueId latent = c.input_of(s.latent, integers(positions * s.latent, 1, 1.0F));
      c.before(ops::StateStore{turned, latent, op.state});
      const std::int64_t query = s.heads * (s.plain + s.turned);
      op.query = c.input_of(query, integers(positions * query, 4, 1.0F / 32));
      op.out = c.output(s.heads * s.value);
      if (split) {
        op.keys = weights(s.plain, s.latent, s.heads);
        op.values = weights(s.latent, s.value, s.heads);
      } else {
        op.keys = weights(s.latent, s.heads * (s.plain + s.value), 1);
      }
      op.head_count = s.heads;
      op.plain_size = s.plain;
      op.turned_size = s.turned;
      op.value_size = s.value;
      op.scale = 0.125;
      const bool is_expanded = may_be_expanded(c, DType::Q4_0) && !split;
      const auto largest_value = [&] {
        return largest_product(data, c.input_table(latent), static_cast<std::size_t>(s.latent));
      };
      const double allowed = bound(c, op, turned, latent, s, positions,
                                   is_expanded ? std::optional(largest_value()) : std::nullopt);
      EXPECT_TRUE(!is_expanded || allowed < 0.2) << "finds nothing";
      c.expect_within(op, op.out, [allowed](const Element&) { return allowed; });
    }
  }
}

class LatentAttentionFormatTest : public ::testing::TestWithParam<DType> {
 protected:
  // A width of whole blocks.
  std::int64_t block() const { return std::max<std::int64_t>(32, block_size(GetParam())); }
};

// Heads of whole groups of 16 rows, which may be interleaved; of none; with keys or values of them.
TEST_P(LatentAttentionFormatTest, MatchesTheReferenceForFewAndManyRows) {
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 33}) {
    for (const std::int64_t latent : {block(), 3 * block()}) {
      for (const auto& [plain, value] : {std::pair{48, 32}, {32, 20}, {20, 16}, {5, 3}}) {
        SCOPED_TRACE("rows " + std::to_string(rows) + ", latent " + std::to_string(latent) +
                     ", heads of " + std::to_string(plain) + " and " + std::to_string(value));
        OpCase c({{3, rows}}, static_cast<std::uint32_t>(rows + latent + plain));
        expect_latent(c, {2, latent, plain, 8, value}, false, 3 + rows, GetParam());
      }
    }
  }
}

TEST_P(LatentAttentionFormatTest, MatchesTheReferenceForSplitWeights) {
  for (const std::int64_t rows : {1, 2, 8, 9, 33}) {
    for (const auto& [latent, value] : {std::pair{block(), std::int64_t{32}}, {3 * block(), 19}}) {
      SCOPED_TRACE("rows " + std::to_string(rows) + ", latent " + std::to_string(latent));
      OpCase c({{3, rows}}, static_cast<std::uint32_t>(rows + latent));
      expect_latent(c, {2, latent, block(), 8, value}, true, 3 + rows, GetParam());
    }
  }
}

// More rows than one task, in a step and in its last block of rows.
TEST_P(LatentAttentionFormatTest, MatchesTheReferenceBeyondOneTask) {
  for (const std::int64_t rows : {257, 300}) {
    for (const bool split : {false, true}) {
      SCOPED_TRACE("rows " + std::to_string(rows) + (split ? ", split" : ""));
      OpCase c({{0, rows}});
      expect_latent(c, {1, block(), split ? block() : 32, 8, 16}, split, rows, GetParam());
    }
  }
}

// Prompts that matrix units expand: the first rows of a sequence, behind cached ones, more than a
// task has, more than a task of products has positions; heads of widths that tiles do not divide.
TEST_P(LatentAttentionFormatTest, MatchesTheReferenceForPromptsOverAHalfCache) {
  for (const bool split : {false, true}) {
    for (const auto& [cached, rows] : {std::pair{0, 9}, {0, 64}, {0, 300}, {70, 40}, {130, 130}}) {
      for (const std::int64_t turned : {16, 8}) {
        SCOPED_TRACE("cached " + std::to_string(cached) + ", rows " + std::to_string(rows) +
                     ", turned " + std::to_string(turned) + (split ? ", split" : ""));
        OpCase c({{cached, rows}});
        c.types = {DType::F16, DType::F16};
        expect_latent(c, {3, block(), split ? block() : 48, turned, 32}, split, cached + rows,
                      GetParam());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LatentAttentionFormatTest, ::testing::ValuesIn(all_formats()),
                         format_name);

TEST(LatentAttentionTest, KeepsSequencesApart) {
  OpCase c({{300, 2}, {0, 5}, {65, 1}});
  expect_latent(c, {}, false, 302);
}

// Prompts of two sequences beside a token of a third, expanded; and the same where the cache is so
// long that making its keys and values would cost more than they save.
TEST(LatentAttentionTest, KeepsSequencesOfPromptsApart) {
  for (const std::int64_t cached : {10, 900}) {
    for (const bool split : {false, true}) {
      for (const DType type : kCacheTypes) {
        SCOPED_TRACE("cached " + std::to_string(cached) + ", " + std::string(to_string(type)) +
                     (split ? ", split" : ""));
        OpCase c({{cached, 20}, {0, 65}, {65, 1}});
        c.types = {type, type};
        expect_latent(c, {.heads = 2, .latent = 256, .plain = 64, .turned = 32, .value = 48}, split,
                      cached + 20, DType::Q8_0);
      }
    }
  }
}

// The store rounds a latent and its turned columns as one row, the same bits on every device.
TEST(LatentAttentionTest, DevicesStoreTheSameBits) {
  for (const DType type : kCacheTypes) {
    OpCase c({{3, 70}});
    c.types = {type, DType::F32};
    const StateId state = c.latent_state(40, 8);
    const ops::StateStore store{c.input(8), c.input(40), state};
    const auto expected = c.pages_after(find_device("reference"), store);
    for (const Device* device : devices_under_test()) {
      EXPECT_EQ(c.pages_after(*device, store), expected) << to_string(type);
    }
  }
}

}  // namespace
}  // namespace ingot::test
