// Activation: broken by an exponential that is off, an overflow, or a swallowed NaN.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/ops/elementwise.hpp"

namespace ingot::test {
namespace {

TEST(ActivationTest, MatchesTheReference) {
  for (const auto kind : kKinds) {
    for_each_shape([kind](OpCase& c, std::int64_t columns) {
      const ops::Activation op{kind, c.input(columns, 4.0), c.output(columns)};
      c.expect_within(op, op.out, [&](const Element& e) {
        const double x = c.input_row(op.in, e.row)[static_cast<std::size_t>(e.column)];
        return activation_bound(kind, x, e.expected);
      });
    });
  }
}

TEST(ActivationTest, KeepsItsLimitsAtLargeArguments) {
  for (const auto kind : kKinds) {
    OpCase c({{0, 1}});
    const std::vector<float> x = {0.0F,  -0.0F,  1e-30F, -1e-30F, 20.0F,  -20.0F,
                                  87.0F, -87.0F, 88.5F,  -88.5F,  100.0F, -100.0F,
                                  1e4F,  -1e4F,  1e30F,  -1e30F,  3e38F,  -3e38F};
    const ops::Activation op{kind, c.input_of(18, x), c.output(18)};
    c.expect_within(op, op.out, [&](const Element& e) {
      const double value = x[static_cast<std::size_t>(e.column)];
      return activation_bound(kind, value, e.expected) + 1e-37;
    });
  }
}

TEST(ActivationTest, PassesNanOn) {
  for (const auto kind : kKinds) {
    OpCase c({{0, 1}});
    std::vector<float> x(5, 1.0F);
    x[2] = std::nanf("");
    x[4] = std::bit_cast<float>(0xffffffffU);
    const ops::Activation op{kind, c.input_of(5, x), c.output(5)};
    for (const Device* device : devices_under_test()) {
      const Recorded got = c.run(*device, op, op.out);
      EXPECT_TRUE(std::isnan(got.at(0, 2)));
      EXPECT_FALSE(std::isnan(got.at(0, 1)));
      EXPECT_FALSE(std::isnan(got.at(0, 3)));
      EXPECT_TRUE(std::isnan(got.at(0, 4)));
    }
  }
}

}  // namespace
}  // namespace ingot::test
