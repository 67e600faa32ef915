// Add: broken by a wrong range of elements or a missed last vector.
#include <gtest/gtest.h>

#include "tests/ops/elementwise.hpp"

namespace ingot::test {
namespace {

TEST(AddTest, MatchesTheReference) {
  for_each_shape([](OpCase& c, std::int64_t columns) {
    const ops::Add op{c.input(columns), c.input(columns), c.output(columns)};
    // One rounding here, one of the reference to f32.
    c.expect_within(op, op.out, [](const Element& e) { return 2 * kUnit * std::abs(e.expected); });
  });
}

TEST(AddTest, MayReadOneValueTwice) {
  OpCase c({{0, 3}});
  const ValueId in = c.input(70);
  const ops::Add op{in, in, c.output(70)};
  c.expect_within(op, op.out, [](const Element&) { return 0.0; });
}

}  // namespace
}  // namespace ingot::test
