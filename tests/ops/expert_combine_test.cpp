// ExpertCombine: broken by a row of another token or a weight of another expert, or by a sum whose
// order depends on the rest of the batch.
#include "src/ops/expert_combine.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/ops/expert_case.hpp"

namespace ingot::test {
namespace {

void expect_sums(ExpertCase& c, std::int64_t columns) {
  const ValueId in = c.grouped(columns);
  const ops::ExpertCombine op{in, c.routed(), c.output(columns, c.token_rows())};
  c.expect_within(op, op.out, [&](const Element& e) {
    // Weights are rounded once before, each product and sum once.
    double sum = 0;
    for (std::int64_t i = 0; i < c.used(); ++i) {
      const auto row = c.input_row(c.source(), c.token_of(c.place(e.row, i)));
      sum += std::abs(static_cast<double>(c.weight(e.row, i)) *
                      static_cast<double>(row[static_cast<std::size_t>(e.column)]));
    }
    return (static_cast<double>(c.used()) + 3) * kUnit * sum;
  });
}

TEST(ExpertCombineTest, TakesTheRowsThatWantLogits) {
  for (const auto& outputs : {std::vector<std::int32_t>{}, {32}, {0, 3, 20}}) {
    ExpertCase c(33, 3, 2, Load::even, outputs);
    expect_sums(c, 100);
  }
}

TEST(ExpertCombineTest, MatchesTheReference) {
  for (const std::int64_t columns : {1, 7, 16, 100, 2500}) {
    for (const std::int64_t rows : {1, 2, 33}) {
      for (const std::int64_t used : {1, 3}) {
        if (columns == 2500 && rows > 2) continue;  // 75 MB of identity tell nothing more
        SCOPED_TRACE(std::to_string(columns) + " columns, " + std::to_string(rows) + " rows, " +
                     std::to_string(used) + " used");
        ExpertCase c(rows, 3, used, Load::even);
        expect_sums(c, columns);
      }
    }
  }
}

}  // namespace
}  // namespace ingot::test
