// ExpertMatMul: broken by a row multiplied with another expert's weight or bias, rows gathered from
// a wrong token, an expert left out or a remainder missed, for few and for many rows per expert.
#include "src/ops/expert_matmul.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "src/device/registry.hpp"
#include "tests/ops/expert_case.hpp"
#include "tests/ops/product_bound.hpp"
#include "tests/support/all_formats.hpp"

namespace ingot::test {
namespace {

WeightOperand of_expert(WeightOperand weight, std::int64_t expert) {
  weight.experts = {expert, expert + 1};
  return weight;
}

void expect_products(ExpertCase& c, const ops::ExpertMatMul& op) {
  for (const ops::ExpertMatMul::Part& part : op.parts) {
    const DType type = c.program().tensor(part.weight.tensor).type;
    std::vector<std::vector<WeightRow>> weights(static_cast<std::size_t>(c.experts()));
    for (std::int64_t e = 0; e < c.experts(); ++e) {
      for (std::int64_t n = 0; n < part.weight.rows.size(); ++n) {
        weights[static_cast<std::size_t>(e)].push_back(
            weight_row_for_bound(c, of_expert(part.weight, e), n));
      }
    }
    c.expect_within(op, part.out, [&](const Element& e) {
      const std::int64_t expert = c.expert_of(e.row);
      return product_bound(
          type, c.rows_of(expert), c.input_row(c.source(), c.token_of(e.row)),
          weights[static_cast<std::size_t>(expert)][static_cast<std::size_t>(e.column)],
          e.expected);
    });
  }
}

class ExpertMatMulFormatTest : public ::testing::TestWithParam<DType> {};

TEST_P(ExpertMatMulFormatTest, MatchesTheReferenceForFewAndManyRowsOfAnExpert) {
  const std::int64_t block = std::max<std::int64_t>(32, block_size(GetParam()));
  for (const std::int64_t rows : {1, 3, 9, 40}) {
    for (const Load load : {Load::even, Load::hot}) {
      for (const Order order : {Order::tokens, Order::grouped}) {
        SCOPED_TRACE("rows " + std::to_string(rows) + (load == Load::hot ? ", hot" : ", even") +
                     (order == Order::grouped ? ", grouped" : ", by token"));
        ExpertCase c(rows, 5, 2, load);
        ops::ExpertMatMul op = c.expert_matmul(2 * block, order);
        op.parts.push_back({c.all_experts(c.tensor(GetParam(), 2 * block, 19, 5)), c.all_biases(19),
                            c.output(19, Rows::assignments)});
        expect_products(c, op);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ExpertMatMulFormatTest, ::testing::ValuesIn(all_formats()),
                         format_name);

// Gate and up of other formats and widths; more weight rows than one task takes.
TEST(ExpertMatMulTest, SharesItsInputAmongParts) {
  for (const std::int64_t rows : {1, 30}) {
    ExpertCase c(rows, 4, 2, Load::even);
    ops::ExpertMatMul op = c.expert_matmul(512, Order::tokens);
    for (const DType type : {DType::Q4_K, DType::F16, DType::Q6_K, DType::F32}) {
      const std::int64_t out = type == DType::Q4_K ? 300 : 33;
      op.parts.push_back({c.all_experts(c.tensor(type, 512, out, 4)), std::nullopt,
                          c.output(out, Rows::assignments)});
    }
    expect_products(c, op);
  }
}

// The last layer of a model: only rows that want logits are routed, or none.
TEST(ExpertMatMulTest, TakesTheRowsThatWantLogits) {
  std::vector<std::int32_t> many;
  for (std::int32_t row = 1; row < 80; row += 2) many.push_back(row);
  for (const auto& outputs : {std::vector<std::int32_t>{}, {79}, {0, 3, 40}, many}) {
    for (const Order order : {Order::tokens, Order::grouped}) {
      SCOPED_TRACE(std::to_string(outputs.size()) + " outputs");
      ExpertCase c(80, 4, 2, Load::even, outputs);
      ops::ExpertMatMul op = c.expert_matmul(256, order);
      op.parts.push_back({c.all_experts(c.tensor(DType::Q4_K, 256, 48, 4)), c.all_biases(48),
                          c.output(48, c.assignment_rows())});
      expect_products(c, op);
    }
  }
}

// A fused gate-up tensor is two row ranges of one.
TEST(ExpertMatMulTest, UsesExactlyTheRowsItNames) {
  for (const std::int64_t rows : {2, 25}) {
    ExpertCase c(rows, 3, 1, Load::even);
    ops::ExpertMatMul op = c.expert_matmul(64, Order::tokens);
    WeightOperand fused = c.all_experts(c.tensor(DType::Q8_0, 64, 50, 3));
    fused.rows = {20, 50};
    op.parts.push_back({fused, std::nullopt, c.output(30, Rows::assignments)});
    expect_products(c, op);
  }
}

// More experts than tokens, one expert for all: whatever the load, the result is the same.
TEST(ExpertMatMulTest, AHotExpertIsSharedAmongThreads) {
  for (const int threads : {1, 4}) {
    ExpertCase c(300, 64, 1, Load::hot);
    c.threads = threads;
    ops::ExpertMatMul op = c.expert_matmul(256, Order::tokens);
    op.parts.push_back({c.all_experts(c.tensor(DType::Q4_0, 256, 64, 64)), std::nullopt,
                        c.output(64, Rows::assignments)});
    expect_products(c, op);
  }
}

// A wrong count would make MoE predictions as slow as the dense model's.
TEST(ExpertMatMulTest, CostsOnlyTheExpertsThatCanBeTouched) {
  ExpertCase c(1, 8, 2, Load::even);
  ops::ExpertMatMul op = c.expert_matmul(32, Order::tokens);
  op.parts.push_back({c.all_experts(c.tensor(DType::F32, 32, 10, 8)), std::nullopt,
                      c.output(10, Rows::assignments)});
  const double expert_bytes = 32 * 10 * 4;
  StepShape shape;
  shape.sequences = {{1, 0}};
  EXPECT_EQ(cost(op, c.program(), shape).weight_bytes, 2 * expert_bytes);
  EXPECT_EQ(cost(op, c.program(), shape).flops, 2 * 2 * 32 * 10);
  shape.sequences = {{3, 0}};
  EXPECT_EQ(cost(op, c.program(), shape).weight_bytes, 6 * expert_bytes);
  shape.sequences = {{100, 0}};
  EXPECT_EQ(cost(op, c.program(), shape).weight_bytes, 8 * expert_bytes);
}

// A tap may write anything into the routing; broken by an index that is believed.
TEST(ExpertMatMulTest, AnyRoutingStaysInBounds) {
  ExpertCase c(20, 4, 2, Load::even);
  ops::ExpertMatMul op = c.expert_matmul(64, Order::tokens);
  op.parts.push_back({c.all_experts(c.tensor(DType::Q8_0, 64, 16, 4)), std::nullopt,
                      c.output(16, Rows::assignments)});
  for (const std::int32_t garbage : {-1, 20, 40, 1 << 30, std::numeric_limits<std::int32_t>::min(),
                                     std::numeric_limits<std::int32_t>::max()}) {
    c.tamper = [garbage](const TapEvent& event) {
      for (std::size_t i = 0; i < event.indices.size(); i += 3) event.indices[i] = garbage;
      if (event.instruction > 2) return;  // inputs and routing
      for (std::size_t i = 0; i < event.data.size(); i += 3) event.data[i] = std::nanf("");
    };
    EXPECT_NO_THROW(c.run(find_device("reference"), op, op.parts[0].out));
    for (const Device* device : devices_under_test()) {
      EXPECT_NO_THROW(c.run(*device, op, op.parts[0].out));
    }
  }
}

}  // namespace
}  // namespace ingot::test
