// Rope: broken by a wrong pairing, angle row, rotated part or head.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

struct Shape {
  std::int64_t heads;
  std::int64_t head_size;
  std::int64_t rotary_size;
  std::int64_t rotary_offset;
};

// Whole heads, part of a head, a part from the middle and up to the end, one pair.
const std::vector<Shape> kShapes = {{1, 64, 64, 0},    {4, 64, 64, 0}, {3, 80, 32, 0},
                                    {2, 192, 64, 128}, {2, 24, 10, 6}, {5, 2, 2, 0}};

TEST(RopeTest, MatchesTheReference) {
  for (const auto layout : {ops::RopeLayout::norm, ops::RopeLayout::neox}) {
    for (const Shape& shape : kShapes) {
      for (const std::int64_t rows : {1, 2, 9, 200}) {
        SCOPED_TRACE("head size " + std::to_string(shape.head_size) + ", rotary " +
                     std::to_string(shape.rotary_size) + ", rows " + std::to_string(rows));
        // Two sequences, one of which has gone on before: positions are not row numbers.
        OpCase c({{5, rows}, {0, 2}});
        ops::Rope op;
        op.layout = layout;
        op.head_size = shape.head_size;
        op.rotary_size = shape.rotary_size;
        op.rotary_offset = shape.rotary_offset;
        (void)c.rope_table(8);  // the table in use is not the first
        op.table = c.rope_table(shape.rotary_size, 1.2);
        op.in = c.input(shape.heads * shape.head_size);
        op.out = c.output(shape.heads * shape.head_size);
        // Two products and a sum: at most 2 roundings of each product, of |x| magnitude each.
        c.expect_within(op, op.out, [&](const Element& e) {
          const auto x = c.input_row(op.in, e.row);
          const std::int64_t inside = e.column % op.head_size - op.rotary_offset;
          if (inside < 0 || inside >= op.rotary_size) return 0.0;
          const std::int64_t half = op.rotary_size / 2;
          const std::int64_t partner = layout == ops::RopeLayout::norm
                                           ? (inside % 2 == 0 ? e.column + 1 : e.column - 1)
                                           : (inside < half ? e.column + half : e.column - half);
          const double sum = std::abs(x[static_cast<std::size_t>(e.column)]) +
                             std::abs(x[static_cast<std::size_t>(partner)]);
          return 2 * kUnit * 1.2 * sum + kUnit * std::abs(e.expected);
        });
      }
    }
  }
}

}  // namespace
}  // namespace ingot::test
