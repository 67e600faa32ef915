// EmbedRows: broken by a wrong row, column range, or decoding of any format.
#include <gtest/gtest.h>

#include "tests/support/all_formats.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

class EmbedRowsTest : public ::testing::TestWithParam<DType> {};

TEST_P(EmbedRowsTest, GivesTheDecodedRowsBitForBit) {
  const std::int64_t block = block_size(GetParam());
  OpCase c({{0, 5}, {0, 2}});
  ops::EmbedRows op{c.whole(c.tensor(GetParam(), 3 * block, 12)), c.output(3 * block)};
  c.expect_within(op, op.out, [](const Element&) { return 0.0; });
  op.table.rows = {3, 12};  // ids count from the operand's first row
  op.table.columns = {block, 2 * block};
  op.out = c.output(block);
  c.expect_within(op, op.out, [](const Element&) { return 0.0; });
}

INSTANTIATE_TEST_SUITE_P(Formats, EmbedRowsTest, ::testing::ValuesIn(all_formats()), format_name);

}  // namespace
}  // namespace ingot::test
