// SelectRows: broken by a wrong row, or by a step that wants no logits.
#include <gtest/gtest.h>

#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

TEST(SelectRowsTest, CopiesTheRowsAskedFor) {
  for (const std::vector<std::int32_t>& rows :
       {std::vector<std::int32_t>{}, {0}, {39}, {0, 1, 2}, {3, 17, 18, 38}}) {
    OpCase c({{0, 33}, {0, 7}});
    c.all_outputs = false;
    c.output_rows = rows;
    const ops::SelectRows op{c.input(37), c.output(37, Rows::outputs)};
    c.expect_within(op, op.out, [](const Element&) { return 0.0; });
  }
}

TEST(SelectRowsTest, CopiesEveryRow) {
  OpCase c({{0, 40}});
  const ops::SelectRows op{c.input(5), c.output(5, Rows::outputs)};
  c.expect_within(op, op.out, [](const Element&) { return 0.0; });
}

}  // namespace
}  // namespace ingot::test
