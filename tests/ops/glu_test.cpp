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

// Broken by a limit on the wrong side or the wrong input, or a missing + 1.
TEST(GluTest, LimitsGateAboveAndUpOnBothSides) {
  for_each_shape([](OpCase& c, std::int64_t columns) {
    ops::Glu op{ops::ActivationKind::gelu_quick, c.input(columns, 8.0), c.input(columns, 8.0),
                c.output(columns)};
    op.limit = 7.0;
    c.expect_within(op, op.out, [&](const Element& e) {
      const auto column = static_cast<std::size_t>(e.column);
      const double x = std::min(7.0, static_cast<double>(c.input_row(op.gate, e.row)[column]));
      const double up =
          std::clamp(static_cast<double>(c.input_row(op.up, e.row)[column]), -7.0, 7.0) + 1;
      // up + 1 rounds once, to within u of 8.
      return std::abs(up) * activation_bound(op.kind, x, ops::apply(op.kind, x)) +
             8 * kUnit * std::abs(ops::apply(op.kind, x)) + 2 * kUnit * std::abs(e.expected);
    });
  });
}

// A shared expert's gate: one logit for the whole row.
TEST(GluTest, AGateOfOneColumnCountsForItsRow) {
  for_each_shape([](OpCase& c, std::int64_t columns) {
    const ops::Glu op{ops::ActivationKind::sigmoid, c.input(1, 4.0), c.input(columns),
                      c.output(columns)};
    c.expect_within(op, op.out, [&](const Element& e) {
      const double x = c.input_row(op.gate, e.row)[0];
      const double up = c.input_row(op.up, e.row)[static_cast<std::size_t>(e.column)];
      return std::abs(up) * activation_bound(op.kind, x, ops::apply(op.kind, x)) +
             2 * kUnit * std::abs(e.expected);
    });
  });
}

}  // namespace
}  // namespace ingot::test
