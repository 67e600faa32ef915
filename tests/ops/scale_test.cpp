// Scale: broken by a wrong range of elements or a missed last vector.
#include <gtest/gtest.h>

#include "tests/ops/elementwise.hpp"

namespace ingot::test {
namespace {

TEST(ScaleTest, MatchesTheReference) {
  for_each_shape([](OpCase& c, std::int64_t columns) {
    const ops::Scale op{c.input(columns), c.output(columns), 0.1};
    // The factor's rounding, the product's, the reference's.
    c.expect_within(op, op.out, [](const Element& e) { return 3 * kUnit * std::abs(e.expected); });
  });
}

}  // namespace
}  // namespace ingot::test
