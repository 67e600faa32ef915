// MatMul: broken by a wrong block, lane, scale or min of any format, a missed remainder of rows or
// columns, a part that writes or reads in another part's place, or a sum less exact than stated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/quant/formats.hpp"
#include "tests/support/all_formats.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

// |scale * q| + |min| of each column: what is multiplied and summed where x = scale * q - min. For
// types without a grid, |w|.
std::vector<double> magnitudes(DType type, const std::vector<std::byte>& bytes,
                               const std::vector<float>& decoded) {
  std::vector<double> out(decoded.size());
  quant::visit_format(type, [&](auto format) {
    using Format = decltype(format);
    if constexpr (Format::kIntegerGrid) {
      for (std::size_t g = 0; g < decoded.size() / 32; ++g) {
        typename Format::Block block;
        constexpr std::size_t kGroups = Format::kBlockSize / 32;
        std::memcpy(&block, bytes.data() + g / kGroups * sizeof block, sizeof block);
        quant::Lanes32 lanes;
        Format::lanes(block, static_cast<int>(g % kGroups), lanes);
        for (std::size_t i = 0; i < 32; ++i) {
          out[32 * g + i] = std::abs(static_cast<double>(lanes.scale[i / 16]) * lanes.q[i]) +
                            std::abs(static_cast<double>(lanes.min[i / 16]));
        }
      }
    } else {
      for (std::size_t i = 0; i < decoded.size(); ++i) out[i] = std::abs(decoded[i]);
    }
  });
  return out;
}

// Where docs/numerics.md says that activations are rounded to 8 bits.
bool rounds_activations(DType type, std::int64_t rows) {
  const bool is_grid =
      quant::visit_format(type, [](auto format) { return decltype(format)::kIntegerGrid; });
  return is_grid && rows <= 8;
}

// Half a step of each activation's block of 32 (and 2^-15 of a step for the roundings of x * 127 /
// largest), times the weight.
double rounding_of_activations(std::span<const float> x, const std::vector<float>& w) {
  double sum = 0;
  for (std::size_t b = 0; b < x.size(); b += 32) {
    double largest = 0;
    double weights = 0;
    for (std::size_t i = b; i < b + 32; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(x[i])));
      weights += std::abs(static_cast<double>(w[i]));
    }
    sum += largest / 127 * (0.5 + std::pow(2.0, -15)) * weights;
  }
  return sum;
}

// Roundings that one product goes through on its way into the sum, times 2^-24 of all products'
// magnitudes.
//   integers: K / 32 groups follow each other; a group's two halves, its scale, the lanes, the mins
//             and the bias add 8;
//   f32:      K / 4 at most within a panel of 512 columns, panels one after the other, and 8 for
//             product, lanes, remainder and bias.
double accumulation(bool integers, std::span<const float> x, const std::vector<double>& magnitude) {
  double sum = 0;
  double largest = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (k % 32 == 0) {
      largest = 0;
      for (std::size_t i = k; i < std::min(k + 32, x.size()); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(x[i])));
      }
    }
    const double half_step = integers ? largest / 254 : 0.0;
    sum += (std::abs(static_cast<double>(x[k])) + half_step) * magnitude[k];
  }
  const auto columns = static_cast<double>(x.size());
  const double roundings =
      integers ? columns / 32 + 8 : std::min(columns, 512.0) / 4 + columns / 512 + 8;
  return roundings * kUnit * sum;
}

void expect_products(OpCase& c, const ops::MatMul& op) {
  for (const ops::MatMul::Part& part : op.parts) {
    const DType type = c.program().tensor(part.weight.tensor).type;
    std::vector<std::vector<float>> weights;
    std::vector<std::vector<double>> sizes;
    for (std::int64_t n = 0; n < part.weight.rows.size(); ++n) {
      weights.push_back(c.weight_row(part.weight, n));
      sizes.push_back(magnitudes(type, c.weight_bytes(part.weight, n), weights.back()));
    }
    const bool has_outputs = c.program().value(op.in).rows == Rows::outputs && !c.all_outputs;
    const auto rows =
        has_outputs ? static_cast<std::int64_t>(c.output_rows.size()) : c.total_rows();
    const bool integers = rounds_activations(type, rows);
    c.expect_within(op, part.out, [&](const Element& e) {
      const auto n = static_cast<std::size_t>(e.column);
      const auto x = c.input_row(op.in, e.row);
      // The decoded weight's own rounding (scale * q - min, once) and the reference's to f32.
      return (integers ? rounding_of_activations(x, weights[n]) : 0.0) +
             accumulation(integers, x, sizes[n]) + 2 * kUnit * std::abs(e.expected);
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

// More columns than one panel, more lanes than one buffer, more rows than one task.
TEST_P(MatMulFormatTest, MatchesTheReferenceBeyondOneTask) {
  for (const std::int64_t rows : {1, 8, 300}) {
    SCOPED_TRACE("rows " + std::to_string(rows));
    OpCase c({{0, rows}});
    ops::MatMul op;
    op.in = c.input(2048 + 256);
    op.parts.push_back({c.whole(c.tensor(GetParam(), 2048 + 256, 50)), c.vector(50), c.output(50)});
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

TEST(MatMulTest, PassesNanAndInfinityOnToTheirRowOnly) {
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (const std::int64_t rows : {4, 12}) {
      OpCase c({{0, rows}});
      std::vector<float> x(static_cast<std::size_t>(rows) * 256, 1.0F);
      x[2 * 256 + 77] = bad;
      ops::MatMul op;
      op.in = c.input_of(256, x);
      op.parts.push_back({c.whole(c.tensor(DType::Q4_K, 256, 5)), std::nullopt, c.output(5)});
      for (const Device* device : devices_under_test()) {
        const Recorded got = c.run(*device, op, op.parts[0].out);
        for (std::int64_t r = 0; r < rows; ++r) {
          EXPECT_EQ(std::isfinite(got.at(r, 3)), r != 2) << "row " << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ingot::test
