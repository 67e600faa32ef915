// MatMul: broken by a wrong block, lane, scale or min of any format, a missed remainder of rows or
// columns, a part that writes or reads in another part's place, or a sum less exact than stated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpu/ops/kernel.hpp"
#include "src/device/registry.hpp"
#include "tests/ops/product_bound.hpp"
#include "tests/support/all_formats.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

using internal::cpu::divide_up;

void expect_products(OpCase& c, const ops::MatMul& op) {
  for (const ops::MatMul::Part& part : op.parts) {
    const DType type = c.program().tensor(part.weight.tensor).type;
    std::vector<WeightRow> weights;
    for (std::int64_t n = 0; n < part.weight.rows.size(); ++n) {
      weights.push_back(weight_row_for_bound(c, part.weight, n));
    }
    const bool has_outputs = c.program().value(op.in).rows == Rows::outputs && !c.all_outputs;
    const auto rows =
        has_outputs ? static_cast<std::int64_t>(c.output_rows.size()) : c.total_rows();
    c.expect_within(op, part.out, [&](const Element& e) {
      return product_bound(type, rows, c.input_row(op.in, e.row),
                           weights[static_cast<std::size_t>(e.column)], e.expected,
                           {c.precision, c.deterministic});
    });
  }
}

class MatMulFormatTest : public ::testing::TestWithParam<DType> {};

TEST_P(MatMulFormatTest, MatchesTheReferenceForFewAndManyRows) {
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 33}) {
    for (const std::int64_t columns : {block, 3 * block}) {
      for (const std::int64_t outputs : {1, 19}) {
        SCOPED_TRACE("rows " + std::to_string(rows) + ", columns " + std::to_string(columns) +
                     ", outputs " + std::to_string(outputs));
        OpCase c({{0, rows}}, static_cast<std::uint32_t>(rows + columns));
        ops::MatMul op;
        op.in = c.input(columns);
        op.parts.push_back(
            {c.whole(c.tensor(GetParam(), columns, outputs)), std::nullopt, c.output(outputs)});
        expect_products(c, op);
      }
    }
  }
}

// More columns than one panel or slab, more lanes than one buffer, more rows than one task. On
// tiles 1,280 columns of 200 rows stay in the cache, 2,304 of 256 do not.
TEST_P(MatMulFormatTest, MatchesTheReferenceBeyondOneTask) {
  struct Case {
    std::int64_t rows;
    std::int64_t columns;
  };
  for (const auto& [rows, columns] : {Case{1, 2304}, {8, 2304}, {200, 1280}, {300, 2304}}) {
    SCOPED_TRACE("rows " + std::to_string(rows) + ", columns " + std::to_string(columns));
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(columns);
    op.parts.push_back({c.whole(c.tensor(GetParam(), columns, 50)), c.vector(50), c.output(50)});
    expect_products(c, op);
  }
}

// A row range, a column range, and the second of three experts.
TEST_P(MatMulFormatTest, UsesExactlyThePartOfTheTensorThatItNames) {
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  for (const std::int64_t rows : {1, 12}) {
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(2 * block);
    WeightOperand weight = c.whole(c.tensor(GetParam(), 4 * block, 40, 3));
    weight.rows = {5, 27};
    weight.columns = {block, 3 * block};
    weight.experts = {1, 2};
    op.parts.push_back({weight, std::nullopt, c.output(22)});
    expect_products(c, op);
  }
}

// Ranges that rows may be interleaved in: whole groups, the last ones with a remainder.
TEST_P(MatMulFormatTest, UsesExactlyTheRowsOfAFusedTensorThatItNames) {
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  for (const std::int64_t rows : {1, 12}) {
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(2 * block);
    WeightOperand weight = c.whole(c.tensor(GetParam(), 2 * block, 105, 2));
    weight.experts = {1, 2};
    for (const Range range : {Range{0, 32}, Range{32, 96}, Range{96, 105}}) {
      weight.rows = range;
      op.parts.push_back({weight, std::nullopt, c.output(range.size())});
    }
    expect_products(c, op);
  }
}

TEST_P(MatMulFormatTest, KeepsF32WhereAskedTo) {
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  for (const std::int64_t rows : {1, 8, 9, 300}) {
    SCOPED_TRACE("rows " + std::to_string(rows));
    OpCase c({{0, rows}});
    c.precision = Precision::f32;
    ops::MatMul op;
    op.in = c.input(3 * block);
    op.parts.push_back({c.whole(c.tensor(GetParam(), 3 * block, 35)), c.vector(35), c.output(35)});
    expect_products(c, op);
  }
}

// The bits of a row, whatever number of rows is multiplied together.
TEST_P(MatMulFormatTest, DeterministicRowsDoNotShowTheirNumber) {
  constexpr std::int64_t kMost = 300;
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  const std::int64_t columns = divide_up(700, block) * block;
  std::mt19937 random(1);
  std::normal_distribution<float> distribution;
  std::vector<float> x(static_cast<std::size_t>(kMost * columns));
  for (float& v : x) v = distribution(random);
  for (const Precision precision : {Precision::fast, Precision::f32}) {
    const auto products = [&](std::int64_t rows) {
      OpCase c({{0, rows}});
      c.precision = precision;
      c.deterministic = true;
      ops::MatMul op;
      op.in = c.input_of(columns, {x.begin(), x.begin() + rows * columns});
      op.parts.push_back(
          {c.whole(c.tensor(GetParam(), columns, 179)), c.vector(179), c.output(179)});
      expect_products(c, op);
      return c.run(find_device("cpu"), op, op.parts[0].out).data;
    };
    const auto all = products(kMost);
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 9, 33}) {
      const auto some = products(rows);
      EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << "rows " << rows;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, MatMulFormatTest, ::testing::ValuesIn(all_formats()),
                         format_name);

// Widths that are no multiple of any vector.
TEST(MatMulTest, TakesAnyNumberOfColumnsOfPlainTypes) {
  for (const DType type : {DType::F32, DType::F16, DType::BF16}) {
    for (const std::int64_t columns : {1, 2, 3, 5, 15, 17, 31, 513, 1030}) {
      for (const std::int64_t rows : {1, 3, 4, 9}) {
        SCOPED_TRACE("columns " + std::to_string(columns) + ", rows " + std::to_string(rows));
        OpCase c({{0, rows}});
        ops::MatMul op;
        op.in = c.input(columns);
        op.parts.push_back({c.whole(c.tensor(type, columns, 21)), std::nullopt, c.output(21)});
        expect_products(c, op);
      }
    }
  }
}

// As q, k and v of one attention layer: other formats and widths, some with a bias.
TEST(MatMulTest, SharesItsInputAmongPartsOfDifferentFormats) {
  for (const std::int64_t rows : {1, 5, 20}) {
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(512);
    const WeightOperand fused = c.vector(96);
    for (const DType type : {DType::Q4_K, DType::F16, DType::Q6_K, DType::Q8_0, DType::F32}) {
      WeightOperand bias = fused;  // part of a fused bias
      bias.columns = {32, 64};
      op.parts.push_back({c.whole(c.tensor(type, 512, 32)),
                          type == DType::Q6_K ? std::nullopt : std::optional(bias), c.output(32)});
    }
    expect_products(c, op);
  }
}

// On tiles what is multiplied next is decoded beside products, evenly: beside as many as there are
// columns, of pairs of row tiles that are whole or not, of weight rows whose last stripe is half.
TEST(MatMulTest, TakesAnyNumberOfBlocksOfManyRows) {
  struct Case {
    std::int64_t rows;
    std::int64_t blocks;
  };
  for (const auto& [rows, blocks] :
       {Case{64, 1}, {64, 2}, {64, 3}, {64, 5}, {64, 16}, {64, 17}, {64, 33}, {70, 17}}) {
    SCOPED_TRACE("rows " + std::to_string(rows) + ", blocks " + std::to_string(blocks));
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(32 * blocks);
    op.parts.push_back(
        {c.whole(c.tensor(DType::Q8_0, 32 * blocks, 80)), std::nullopt, c.output(80)});
    expect_products(c, op);
  }
}

// On tiles neighbouring tasks are one product: over more weight rows than a slab has, with columns
// of many slabs, of few, and of one. The bits are those of parts that are a task each or less (of
// whole panels where there are no tiles: half a panel has a loop of its own, with other roundings).
TEST(MatMulTest, OfMoreWeightRowsThanASlabHasIsThatOfItsParts) {
  struct Case {
    std::int64_t rows;
    std::int64_t columns;
  };
  for (const auto& [rows, columns] : {Case{300, 2304}, {70, 1280}, {33, 256}}) {
    for (const DType type : {DType::Q8_0, DType::Q4_K}) {
      SCOPED_TRACE("rows " + std::to_string(rows) + ", columns " + std::to_string(columns) + ", " +
                   std::string(to_string(type)));
      OpCase c({{0, rows}});
      ops::MatMul op;
      op.in = c.input(columns);
      WeightOperand weight = c.whole(c.tensor(type, columns, 1106));
      op.parts.push_back({weight, std::nullopt, c.output(1106)});
      for (const Range range :
           {Range{0, 256}, Range{256, 512}, Range{512, 736}, Range{736, 960}, Range{960, 1106}}) {
        weight.rows = range;
        op.parts.push_back({weight, std::nullopt, c.output(range.size())});
      }
      for (const Device* device : devices_under_test()) {
        const Recorded whole = c.run(*device, op, op.parts[0].out);
        std::int64_t different = 0;
        for (std::size_t p = 1; p < op.parts.size(); ++p) {
          const Recorded part = c.run(*device, op, op.parts[p].out);
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t n = 0; n < part.columns; ++n) {
              different += part.at(r, n) != whole.at(r, op.parts[p].weight.rows.begin + n) ? 1 : 0;
            }
          }
        }
        EXPECT_EQ(different, 0) << device->info().name;
      }
    }
  }
}

TEST(MatMulTest, OfNoRowsDoesNothing) {
  for (const DType type : {DType::F32, DType::Q4_K}) {
    OpCase c({{0, 3}});
    c.all_outputs = false;
    ops::MatMul op;
    op.in = c.input(256, 1.0, Rows::outputs);
    op.parts.push_back({c.whole(c.tensor(type, 256, 8)), std::nullopt, c.output(8, Rows::outputs)});
    expect_products(c, op);
    for (const Device* device : devices_under_test()) {
      EXPECT_EQ(c.run(*device, op, op.parts[0].out).rows, 0);
    }
  }
}

TEST(MatMulTest, OfSomeOutputRows) {
  OpCase c({{0, 30}});
  c.all_outputs = false;
  c.output_rows = {7, 29};
  ops::MatMul op;
  op.in = c.input(256, 1.0, Rows::outputs);
  op.parts.push_back(
      {c.whole(c.tensor(DType::Q4_0, 256, 70)), std::nullopt, c.output(70, Rows::outputs)});
  expect_products(c, op);
}

// Blocks of zeros, one large value among small ones, tiny values, and values near the largest
// float.
TEST(MatMulTest, QuantizesAwkwardActivations) {
  constexpr std::size_t kColumns = 256;
  std::vector<float> x(kColumns, 0.0F);
  for (std::size_t i = 0; i < kColumns; ++i) {
    const float sign = i % 3 == 0 ? -1.0F : 1.0F;
    const std::size_t block = i / 32;
    const auto noise = sign * static_cast<float>(i % 32 + 1);
    const float sizes[8] = {0.0F, 1.0F, 1e-20F, 1e-40F, 1e30F, 1e-10F, 0.5F, 1e-3F};
    x[i] = noise * sizes[block];
    if (block == 6 && i % 32 == 5) x[i] = 1e4F;
  }
  for (const DType type : {DType::Q8_0, DType::Q4_K, DType::Q6_K, DType::Q5_1}) {
    OpCase c({{0, 1}});
    ops::MatMul op;
    op.in = c.input_of(kColumns, x);
    op.parts.push_back({c.whole(c.tensor(type, kColumns, 9)), std::nullopt, c.output(9)});
    expect_products(c, op);
  }
}

// Tiles take weights as bf16, by way of floats that are not: what needs no rounding must get none,
// and codes that stand for zero must be zero whatever their scale.
TEST(MatMulTest, WeightsThatBf16HoldsAreExactOnTiles) {
  constexpr std::int64_t kColumns = 256;
  constexpr std::int64_t kOutputs = 32;
  constexpr std::int64_t kRows = 20;
  struct Case {
    DType type;
    int lowest;   // of the integers that the type holds with a scale of one
    int highest;  // whose magnitude makes that scale, or the lowest's
  };
  for (const auto& [type, lowest, highest] :
       {Case{DType::Q8_0, -127, 127}, {DType::Q4_0, -8, 7}, {DType::Q5_0, -16, 15}}) {
    SCOPED_TRACE(to_string(type));
    const internal::cpu::KernelTable& table = internal::cpu::select_target();
    if (internal::cpu::choose_product(table, {}, table.format(type)).many !=
        &internal::cpu::paths::tiles) {
      GTEST_SKIP() << "no tiles";
    }
    const int span = highest - lowest + 1;
    std::vector<float> weights(kColumns * kOutputs);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto mixed = static_cast<int>((i * 2654435761U >> 7) % static_cast<unsigned>(span));
      weights[i] = static_cast<float>(i % 32 == 5 ? lowest : lowest + mixed);
      if (i / 32 % 7 == 3) weights[i] *= 0x1p-4F;
    }
    std::vector<float> x(kColumns * kRows);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7 % 11) - 5.0F;
    OpCase c({{0, kRows}});
    ops::MatMul op;
    op.in = c.input_of(kColumns, x);
    const WeightOperand weight = c.whole(c.tensor_of(weights, kColumns, kOutputs, 1, type));
    op.parts.push_back({weight, std::nullopt, c.output(kOutputs)});
    for (std::int64_t n = 0; n < kOutputs; ++n) {
      const auto first = weights.begin() + n * kColumns;
      ASSERT_EQ(c.weight_row(weight, n), std::vector<float>(first, first + kColumns));
    }
    for (const Device* device : devices_under_test()) {
      const Recorded got = c.run(*device, op, op.parts[0].out);
      for (std::int64_t r = 0; r < kRows; ++r) {
        for (std::int64_t n = 0; n < kOutputs; ++n) {
          double sum = 0;
          for (std::int64_t k = 0; k < kColumns; ++k) {
            sum += static_cast<double>(x[static_cast<std::size_t>(r * kColumns + k)]) *
                   static_cast<double>(weights[static_cast<std::size_t>(n * kColumns + k)]);
          }
          EXPECT_EQ(static_cast<double>(got.at(r, n)), sum) << "row " << r << ", output " << n;
        }
      }
    }
  }
}

TEST(MatMulTest, PassesNanAndInfinityOnToTheirRowOnly) {
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (const std::int64_t rows : {4, 12}) {
      OpCase c({{0, rows}});
      std::vector<float> x(static_cast<std::size_t>(rows) * 256, 1.0F);
      x[2 * 256 + 77] = bad;
      ops::MatMul op;
      op.in = c.input_of(256, x);
      op.parts.push_back({c.whole(c.tensor(DType::Q4_K, 256, 21)), std::nullopt, c.output(21)});
      for (const Device* device : devices_under_test()) {
        const Recorded got = c.run(*device, op, op.parts[0].out);
        for (std::int64_t r = 0; r < rows; ++r) {
          EXPECT_EQ(std::isfinite(got.at(r, 3)), r != 2) << "row " << r;
          EXPECT_EQ(std::isfinite(got.at(r, 18)), r != 2) << "row " << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ingot::test
