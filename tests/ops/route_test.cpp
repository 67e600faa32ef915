// Route: broken by a wrong expert or weight for any gating variant, an assignment lost or doubled
// in the grouping, or an index outside of its range for logits that are no numbers.
#include "src/ops/route.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "src/device/registry.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

ops::Route route_of(OpCase& c, ValueId logits, std::int64_t experts, std::int64_t used) {
  ops::Route op;
  op.logits = logits;
  op.used = used;
  op.out = c.routing(experts, used);
  return op;
}

// Indices are exact, weights rounded to f32 once.
void expect_as_reference(OpCase& c, const ops::Route& op) {
  for (const ValueId out : {op.out.experts, op.out.places, op.out.tokens, op.out.offsets}) {
    c.expect_equal(op, out);
  }
  c.expect_within(op, op.out.weights,
                  [](const Element& e) { return 2 * kUnit * std::abs(e.expected); });
}

std::vector<const Device*> all_devices() {
  std::vector<const Device*> found = devices_under_test();
  found.push_back(&find_device("reference"));
  return found;
}

// What must hold of a grouping, whatever the logits are.
void expect_consistent(OpCase& c, const ops::Route& op, const Device& device) {
  SCOPED_TRACE(device.info().name);
  const Recorded experts = c.run(device, op, op.out.experts);
  const Recorded places = c.run(device, op, op.out.places);
  const Recorded tokens = c.run(device, op, op.out.tokens);
  const Recorded offsets = c.run(device, op, op.out.offsets);
  const std::int64_t assignments = experts.rows * op.used;
  ASSERT_EQ(tokens.rows, assignments);
  ASSERT_EQ(offsets.rows, 1);
  EXPECT_EQ(offsets.indices.front(), 0);
  EXPECT_EQ(offsets.indices.back(), assignments);
  EXPECT_TRUE(std::is_sorted(offsets.indices.begin(), offsets.indices.end()));
  std::set<std::int64_t> seen;
  for (std::int64_t t = 0; t < experts.rows; ++t) {
    for (std::int64_t i = 0; i < op.used; ++i) {
      const std::int64_t expert = experts.index_at(t, i);
      ASSERT_TRUE(expert >= 0 && expert < offsets.columns - 1);
      if (i > 0) {
        EXPECT_LT(experts.index_at(t, i - 1), expert) << "ascending and distinct";
      }
      const std::int64_t place = places.index_at(t, i);
      ASSERT_TRUE(place >= 0 && place < assignments);
      EXPECT_EQ(tokens.index_at(place, 0), t);
      EXPECT_GE(place, offsets.index_at(0, expert));
      EXPECT_LT(place, offsets.index_at(0, expert + 1));
      seen.insert(place);
    }
  }
  EXPECT_EQ(std::ssize(seen), assignments);
}

TEST(RouteTest, MatchesTheReferenceForEveryGatingVariant) {
  for (const std::int64_t experts : {1, 8, 60, 128}) {
    for (const std::int64_t used : {1, 2, 8}) {
      if (used > experts) continue;
      for (const std::int64_t rows : {1, 2, 33}) {
        for (const bool normalise : {false, true}) {
          for (const ops::Gate gate : {ops::Gate::softmax, ops::Gate::sigmoid}) {
            for (const bool bias : {false, true}) {
              SCOPED_TRACE(std::to_string(experts) + " experts, " + std::to_string(used) +
                           " used, " + std::to_string(rows) + " rows");
              OpCase c({{0, rows}}, static_cast<std::uint32_t>(experts + used + rows));
              ops::Route op = route_of(c, c.input(experts, 2.0), experts, used);
              op.normalise = normalise;
              op.gate = gate;
              op.scale = bias ? 2.5 : 1.0;
              if (bias) op.selection_bias = c.vector(experts);
              expect_as_reference(c, op);
              for (const Device* device : all_devices()) expect_consistent(c, op, *device);
            }
          }
        }
      }
    }
  }
}

TEST(RouteTest, TakesTheRowsThatWantLogits) {
  for (const auto& outputs : {std::vector<std::int32_t>{}, {19}, {0, 3, 11}}) {
    OpCase c({{0, 20}});
    c.all_outputs = false;
    c.output_rows = outputs;
    ops::Route op;
    op.logits = c.input(16, 2.0, Rows::outputs);
    op.used = 4;
    op.out = c.routing(16, 4, Rows::outputs);
    expect_as_reference(c, op);
    for (const Device* device : all_devices()) expect_consistent(c, op, *device);
  }
}

TEST(RouteTest, MatchesTheReferenceWithGroups) {
  for (const std::int64_t used : {1, 4, 8}) {
    OpCase c({{0, 40}});
    ops::Route op = route_of(c, c.input(64, 2.0), 64, used);
    op.gate = ops::Gate::sigmoid;
    op.selection_bias = c.vector(64);
    op.group_count = 8;
    op.groups_used = 3;
    expect_as_reference(c, op);
    for (const Device* device : all_devices()) expect_consistent(c, op, *device);
  }
}

// One row of logits; what each device gives for it.
struct OneRow {
  explicit OneRow(std::vector<float> logits)
      : c({{0, 1}}), experts(std::ssize(logits)), input(c.input_of(experts, std::move(logits))) {}

  void expect(const ops::Route& op, const std::vector<std::int32_t>& chosen,
              const std::vector<double>& weights) {
    for (const Device* device : all_devices()) {
      SCOPED_TRACE(device->info().name);
      EXPECT_EQ(c.run(*device, op, op.out.experts).indices, chosen);
      const std::vector<float> got = c.run(*device, op, op.out.weights).data;
      ASSERT_EQ(got.size(), weights.size());
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], weights[i], 1e-6);
    }
  }

  OpCase c;
  std::int64_t experts;
  ValueId input;
};

// Numbers by hand: probabilities 1/10, 2/10, 3/10, 4/10.
TEST(RouteTest, SoftmaxWeightsAreProbabilitiesOrSumToTheScale) {
  OneRow row({0.0F, std::log(2.0F), std::log(3.0F), std::log(4.0F)});
  ops::Route op = route_of(row.c, row.input, 4, 2);
  row.expect(op, {2, 3}, {3.0 / 7, 4.0 / 7});
  op.scale = 3.5;
  row.expect(op, {2, 3}, {1.5, 2.0});
  op.normalise = false;
  op.scale = 1.0;
  row.expect(op, {2, 3}, {0.3, 0.4});
}

TEST(RouteTest, ASelectionBiasCountsForTheChoiceOnly) {
  OneRow row({0.0F, 0.0F, 0.0F, std::log(3.0F)});  // sigmoid: 1/2, 1/2, 1/2, 3/4
  ops::Route op = route_of(row.c, row.input, 4, 2);
  op.gate = ops::Gate::sigmoid;
  op.normalise = false;
  row.expect(op, {0, 3}, {0.5, 0.75});
  op.selection_bias = row.c.vector_of({0.0F, 0.1F, 0.3F, -0.2F});
  row.expect(op, {1, 2}, {0.5, 0.5});
}

// The best group is the one whose two best experts are best together, not the one with the best.
TEST(RouteTest, GroupsCompeteWithTheirTwoBestExperts) {
  OneRow row({std::log(9.0F), -9.0F, -9.0F, 1.0F, 1.1F, -9.0F, 0.0F, 0.0F, 0.0F});
  ops::Route op = route_of(row.c, row.input, 9, 2);
  op.gate = ops::Gate::sigmoid;
  op.group_count = 3;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double sum = sigmoid(1.0) + sigmoid(1.1);
  row.expect(op, {3, 4}, {sigmoid(1.0) / sum, sigmoid(1.1) / sum});
}

TEST(RouteTest, TiesGoToTheLowerIndex) {
  OneRow row({1.0F, 2.0F, 2.0F, 2.0F, 1.0F});
  row.expect(route_of(row.c, row.input, 5, 2), {1, 2}, {0.5, 0.5});
}

// Sigmoids that are one number in f32 but not in double, and differ by less than a bias does.
TEST(RouteTest, ChoosesInDouble) {
  OneRow row({19.0F, 18.0F, 20.0F, 17.5F});
  ops::Route op = route_of(row.c, row.input, 4, 1);
  op.gate = ops::Gate::sigmoid;
  op.normalise = false;
  op.selection_bias = row.c.vector_of({0.0F, 0.0F, 0.0F, 0.0F});
  row.expect(op, {2}, {1.0});
  op.group_count = 2;
  row.expect(op, {0}, {1.0});
  op.group_count = 1;
  op.selection_bias = row.c.vector_of({0.0F, 0.0F, 0.0F, 3e-8F});
  row.expect(op, {3}, {1.0});
}

TEST(RouteTest, LargeLogitsDoNotOverflow) {
  OneRow row({1e30F, -1e30F, 3e4F, 1e30F});
  row.expect(route_of(row.c, row.input, 4, 2), {0, 3}, {0.5, 0.5});
}

// The fault reaches the output of its own row; no index leaves its range.
TEST(RouteTest, LogitsThatAreNoNumbersChooseSomeExpertsWithWeightsThatAreNone) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const ops::Gate gate : {ops::Gate::softmax, ops::Gate::sigmoid}) {
    for (const bool groups : {false, true}) {
      OpCase c({{0, 5}});
      const std::vector<float> logits = {kNan,       kNan,       kNan,       kNan,  //
                                         1.0F,       kNan,       2.0F,       0.0F,  //
                                         0.0F,       1.0F,       2.0F,       3.0F,  //
                                         kInfinity,  kInfinity,  0.0F,       0.0F,  //
                                         -kInfinity, -kInfinity, -kInfinity, -kInfinity};
      ops::Route op = route_of(c, c.input_of(4, logits), 4, 2);
      op.gate = gate;
      op.group_count = groups ? 2 : 1;
      op.groups_used = groups ? 1 : 1;
      for (const Device* device : all_devices()) {
        expect_consistent(c, op, *device);
        const Recorded weights = c.run(*device, op, op.out.weights);
        EXPECT_TRUE(std::isnan(weights.at(0, 0))) << device->info().name;
        EXPECT_TRUE(std::isfinite(weights.at(2, 0))) << device->info().name;
        if (!groups) {
          const Recorded experts = c.run(*device, op, op.out.experts);
          EXPECT_EQ(experts.index_at(1, 0), 0) << "a number before NaN";
          EXPECT_EQ(experts.index_at(1, 1), 2);
        }
      }
    }
  }
}

// What reads numbers does not read indices, nor the other way round.
TEST(RouteTest, WritesIndicesWhereIndicesAreMeant) {
  OpCase c({{0, 1}});
  ops::Route op = route_of(c, c.input(6), 6, 2);
  for (ValueId* out : {&op.out.experts, &op.out.places, &op.out.tokens, &op.out.offsets}) {
    const ValueId right = std::exchange(*out, c.output(6));
    Program program = c.program();
    program.instructions = {op};
    try {
      check(program);
      ADD_FAILURE() << "numbers were taken for indices";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("numbers, for indices"), std::string::npos)
          << error.what();
    }
    *out = right;
  }
}

TEST(RouteTest, PrintsWhatIsAnIndex) {
  OpCase c({{0, 1}});
  const ops::Route op = route_of(c, c.input(6), 6, 2);
  Program program = c.program();
  program.instructions = {op};
  const std::string text = to_string(program);
  const auto name = [&](ValueId id) { return program.value(id).name; };
  EXPECT_NE(text.find(name(op.out.experts) + ":i32[tokens, 2]"), std::string::npos) << text;
  EXPECT_NE(text.find(name(op.out.weights) + "[tokens, 2]"), std::string::npos) << text;
  EXPECT_NE(text.find(name(op.out.offsets) + ":i32[1, 7]"), std::string::npos) << text;
}

TEST(RouteTest, RefusesChoicesThatCannotBeMade) {
  OpCase c({{0, 1}});
  ops::Route op = route_of(c, c.input(6), 6, 4);
  op.group_count = 3;
  op.groups_used = 1;  // two experts
  EXPECT_THROW(check(op, c.program()), Error);
  op.group_count = 4;  // does not divide 6
  EXPECT_THROW(check(op, c.program()), Error);
}

}  // namespace
}  // namespace ingot::test
