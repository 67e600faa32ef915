// Norm: broken by a sum over the wrong group, a wrong epsilon, mean or variance, or a weight taken
// from the wrong group.
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

struct Shape {
  std::int64_t columns;
  std::int64_t group_size;
};

// Odd widths, widths beyond one chunk of the sum, heads.
const std::vector<Shape> kShapes = {{1, 1},       {5, 5},   {33, 33}, {256, 256}, {257, 257},
                                    {1000, 1000}, {96, 32}, {120, 8}, {21, 7},    {5120, 5120}};

// The sum of squares, f32 within 256 values (4 lanes: 64 additions, 2 more to join the lanes, one
// product each): 67 roundings of a positive sum; half of that after the root; then the factor's
// rounding and the products with it and the weight. A layer norm's mean carries 66 roundings of the
// mean magnitude, which shift every element.
constexpr double kSumError = 67 * kUnit;

// What the roundings of one group come to.
struct GroupError {
  double shift = 0;     ///< of each element, before the weight
  double relative = 0;  ///< of the product
};

GroupError group_error(const ops::Norm& op, std::span<const float> x) {
  double mean = 0;
  double magnitude = 0;
  const auto size = static_cast<double>(x.size());
  for (const float v : x) {
    mean += v / size;
    magnitude += std::abs(v) / size;
  }
  double shift = kSumError * magnitude + 2 * kUnit * std::abs(mean);
  if (op.kind == ops::NormKind::rms) mean = shift = 0;
  double square = 0;
  for (const float v : x) square += (v - mean) * (v - mean) / size;
  const double factor = 1.0 / std::sqrt(square + op.epsilon);
  // A shift of every element by s also adds s^2 to the variance: less than s * factor of the
  // result, since s is far below one deviation or the result below s * factor itself.
  return {factor * shift, kSumError / 2 + 5 * kUnit + shift * factor};
}

std::vector<GroupError> group_errors(const OpCase& c, const ops::Norm& op) {
  std::vector<GroupError> errors;
  for (std::int64_t r = 0; r < c.total_rows(); ++r) {
    const auto x = c.input_row(op.in, r);
    const auto size = static_cast<std::size_t>(op.group_size);
    for (std::size_t begin = 0; begin < x.size(); begin += size) {
      errors.push_back(group_error(op, x.subspan(begin, size)));
    }
  }
  return errors;
}

struct Vectors {
  bool weight;
  bool bias;
  bool per_group;  // [group_size]; else [columns]
};

TEST(NormTest, MatchesTheReference) {
  for (const auto kind : {ops::NormKind::rms, ops::NormKind::layer}) {
    for (const Shape& shape : kShapes) {
      for (const Vectors& vectors : {Vectors{false, false, true}, Vectors{true, false, true},
                                     Vectors{true, true, true}, Vectors{true, true, false}}) {
        for (const std::int64_t rows : {1, 2, 7, 33}) {
          SCOPED_TRACE("columns " + std::to_string(shape.columns) + ", group " +
                       std::to_string(shape.group_size) + ", rows " + std::to_string(rows));
          OpCase c({{0, rows}});
          ops::Norm op;
          op.kind = kind;
          op.group_size = shape.group_size;
          op.epsilon = 1e-5;
          op.in = c.input(shape.columns, 3.0);
          op.out = c.output(shape.columns);
          const std::int64_t size = vectors.per_group ? shape.group_size : shape.columns;
          if (vectors.weight) op.weight = c.vector(size, 1.0);
          if (vectors.bias) op.bias = c.vector(size);
          std::vector<float> weight(static_cast<std::size_t>(size), 1.0F);
          std::vector<float> bias(static_cast<std::size_t>(size), 0.0F);
          if (op.weight) weight = c.weight_row(*op.weight, 0);
          if (op.bias) bias = c.weight_row(*op.bias, 0);
          const std::vector<GroupError> errors = group_errors(c, op);
          const std::int64_t groups = shape.columns / shape.group_size;
          c.expect_within(op, op.out, [&](const Element& e) {
            const auto at = static_cast<std::size_t>(e.column % size);
            const GroupError& error =
                errors[static_cast<std::size_t>(e.row * groups + e.column / shape.group_size)];
            return std::abs(static_cast<double>(weight[at])) * error.shift +
                   error.relative * std::abs(e.expected - static_cast<double>(bias[at])) +
                   2 * kUnit * std::abs(e.expected);
          });
        }
      }
    }
  }
}

TEST(NormTest, OfARowOfZerosIsZero) {
  for (const auto kind : {ops::NormKind::rms, ops::NormKind::layer}) {
    OpCase c({{0, 2}});
    ops::Norm op;
    op.kind = kind;
    op.group_size = 40;
    op.in = c.input_of(40, std::vector<float>(80, 0.0F));
    op.out = c.output(40);
    c.expect_within(op, op.out, [](const Element&) { return 0.0; });
  }
}

// 5,120 values of 1e15: their squares sum to 5e33, and those of 1e-15 to 5e-27.
TEST(NormTest, NeitherOverflowsNorVanishesOverTheRangeOfHiddenStates) {
  for (const float size : {1e15F, 1e-15F}) {
    OpCase c({{0, 1}});
    std::vector<float> x(5120, size);
    for (std::size_t i = 0; i < x.size(); i += 2) x[i] = -x[i];
    ops::Norm op;
    op.group_size = 5120;
    op.epsilon = 1e-40;
    op.in = c.input_of(5120, x);
    op.out = c.output(5120);
    c.expect_within(op, op.out, [](const Element& e) {
      return (kSumError + 5 * kUnit) * std::abs(e.expected);
    });
  }
}

}  // namespace
}  // namespace ingot::test
