// Glu: broken by gate and up exchanged, or by what breaks Activation.
#include <gtest/gtest.h>

#include "tests/ops/elementwise.hpp"

namespace ingot::test {
namespace {

TEST(GluTest, MatchesTheReference) {
  for (const auto kind : kKinds) {
    for_each_shape([kind](OpCase& c, std::int64_t columns) {
      const ops::Glu op{kind, c.input(columns, 4.0), c.input(columns), c.output(columns)};
      c.expect_within(op, op.out, [&](const Element& e) {
        const auto column = static_cast<std::size_t>(e.column);
        const double x = c.input_row(op.gate, e.row)[column];
        const double up = c.input_row(op.up, e.row)[column];
        return std::abs(up) * activation_bound(kind, x, ops::apply(kind, x)) +
               2 * kUnit * std::abs(e.expected);
      });
    });
  }
}

}  // namespace
}  // namespace ingot::test
