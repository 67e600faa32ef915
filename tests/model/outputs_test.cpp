// What a step gives back for each row. If these fail, a row gets another row's numbers, or ids and
// candidates are not those of its logits.
#include "ingot/outputs.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "ingot/sampler/log_probability.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

using test::golden_tokens;

class OutputsTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::shared_ptr<const Executable> load(const std::string& model = "llama",
                                                std::int64_t max_step_tokens = 512,
                                                std::int64_t cache_positions = 0) {
    LoadOptions options = test::options_for(GetParam());
    options.max_sequences = 4;
    options.run.context = 256;
    options.max_step_tokens = max_step_tokens;
    options.cache_positions = cache_positions;
    return Executable::load(test::small_model(model), options);
  }
};

std::vector<Candidate> sorted(std::span<const float> logits) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    all.push_back({static_cast<TokenId>(i), logits[i]});
  }
  std::sort(all.begin(), all.end(), more_probable);
  return all;
}

TEST_P(OutputsTest, IdsAndCandidatesAreThoseOfTheLogits) {
  const auto executable = load();
  const auto tokens = golden_tokens();
  Session session(executable);
  const StepResult logits = session.step({{session.open(), tokens, Outputs::all()}});
  const StepResult ids = session.step({{session.open(), tokens, Outputs::all(Want::id)}});
  const StepResult best =
      session.step({{session.open(), tokens, Outputs::all(Want::candidates, 7)}});
  ASSERT_EQ(ids.row_count(), std::ssize(tokens));
  for (std::int64_t row = 0; row < ids.row_count(); ++row) {
    const auto expected = sorted(logits.logits(row));
    EXPECT_EQ(ids.id(row), expected.front().id);
    EXPECT_EQ(ids.not_finite(row), -1);
    const RowCandidates found = best.candidates(row);
    ASSERT_EQ(found.best.size(), 7U);
    for (std::size_t i = 0; i < 7; ++i) {
      EXPECT_EQ(found.best[i].id, expected[i].id) << row << " " << i;
      EXPECT_EQ(found.best[i].logit, expected[i].logit);
    }
    // Terms of 2^-21 relative error, all positive, and f32 sums of 64 terms each.
    EXPECT_NEAR(found.log_sum_exp, log_sum_exp(logits.logits(row)), 0x1p-20 + 64 * 0x1p-24);
  }
}

TEST_P(OutputsTest, HiddenRowsAreTheFinalNorms) {
  for (const std::string model : {"llama", "qwen3moe", "olmo2", "starcoder2"}) {
    const auto executable = load(model);
    const auto tokens = golden_tokens();
    Session session(executable);
    std::vector<float> seen;
    session.set_tap(
        [&](const TapEvent& event) { seen.assign(event.data.begin(), event.data.end()); },
        {.names = {"output_norm"}});
    session.step({{session.open(), tokens, Outputs::all()}});
    session.set_tap({});
    const StepResult hidden = session.step({{session.open(), tokens, Outputs::all(Want::hidden)}});
    EXPECT_EQ(hidden.hidden_size(), executable->model()->spec().hidden_size);
    EXPECT_EQ(test::values_of(hidden), seen) << model;
  }
}

// Rows that go through the head come first on the device, the others behind them; parts split where
// the logits of one would be too many.
TEST_P(OutputsTest, EachRowGetsItsOwnWhateverTheOthersWant) {
  const auto tokens = golden_tokens();
  const auto executable = load("llama", 16);
  Session alone(executable);
  const SequenceId reference = alone.open();
  const StepResult logits = alone.step({{reference, tokens, Outputs::all()}});
  alone.rewind(reference, 0);
  const StepResult hidden = alone.step({{reference, tokens, Outputs::all(Want::hidden)}});

  Session session(executable);
  std::vector<RowOutput> mixed;
  for (std::int32_t row = 0; row < std::ssize(tokens); ++row) {
    const Want want[] = {Want::hidden, Want::logits, Want::candidates, Want::id};
    if (row % 5 < 4) mixed.push_back({row, want[row % 5], 3});
  }
  const SequenceId a = session.open();
  const SequenceId b = session.open();
  const StepResult result =
      session.step({{a, std::span(tokens).first(9), Outputs::last(Want::hidden)},
                    {b, tokens, Outputs::rows(mixed)}});
  ASSERT_EQ(result.row_count(), 1 + std::ssize(mixed));
  const auto close = [&](std::span<const float> got, std::span<const float> expected) {
    EXPECT_LE(test::relative_error(got, expected, std::ssize(expected)).whole, 1e-4);
  };
  close(result.hidden(0), hidden.hidden(8));
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) + 1;
    const auto expected = sorted(logits.logits(mixed[i].row));
    switch (result.want(row)) {
      case Want::hidden: close(result.hidden(row), hidden.hidden(mixed[i].row)); break;
      case Want::logits: close(result.logits(row), logits.logits(mixed[i].row)); break;
      case Want::candidates:
        EXPECT_NEAR(result.candidates(row).best[0].logit, expected[0].logit, 1e-3);
        break;
      case Want::id: EXPECT_EQ(result.id(row), expected[0].id); break;
    }
  }
  EXPECT_EQ(result.first_row(1), 1);
  EXPECT_THROW((void)result.logits(0), Error) << "a hidden row is no logits";
  EXPECT_THROW((void)result.hidden(result.row_count()), Error);
  EXPECT_THROW((void)result.first_row(3), Error);
}

TEST_P(OutputsTest, AResultIsReusedAndEmptyAfterAnError) {
  Session session(load());
  const auto tokens = golden_tokens();
  const SequenceId sequence = session.open();
  StepResult result;
  const StepRequest requests[] = {{sequence, tokens, Outputs::all()}};
  session.step(requests, result);
  const float* memory = result.values().data();
  const auto first = test::values_of(result);
  session.rewind(sequence, 0);
  session.step(requests, result);
  EXPECT_EQ(result.values().data(), memory);
  EXPECT_EQ(test::values_of(result), first);
  const StepRequest wrong[] = {{SequenceId{}, tokens}};
  EXPECT_THROW(session.step(wrong, result), Error);
  EXPECT_EQ(result.row_count(), 0);
  EXPECT_TRUE(result.values().empty());
}

TEST_P(OutputsTest, SenselessOutputsAreRefused) {
  Session session(load());
  const auto tokens = golden_tokens();
  const SequenceId sequence = session.open();
  for (const Outputs& outputs :
       {Outputs::last(Want::candidates), Outputs::last(Want::candidates, -1),
        Outputs::last(Want::candidates, 513), Outputs::rows({{5, Want::id, 0}, {5, Want::id, 0}}),
        Outputs::rows({{-1, Want::logits, 0}})}) {
    EXPECT_THROW(session.step({{sequence, tokens, outputs}}), Error);
    EXPECT_EQ(session.position(sequence), 0);
  }
}

TEST_P(OutputsTest, ASequenceOfAnotherSessionIsRefused) {
  const auto executable = load();
  Session one(executable);
  Session other(executable);
  const SequenceId mine = one.open();
  (void)other.open();
  const auto tokens = golden_tokens();
  EXPECT_THROW(other.step({{mine, tokens}}), Error);
  EXPECT_THROW(other.close(mine), Error);
  EXPECT_THROW((void)other.position(mine), Error);
  EXPECT_NO_THROW(one.step({{mine, tokens}}));
}

// A tap for one value changes nothing else: neither the bits nor what it is called for.
TEST_P(OutputsTest, ATapByNameSeesThatValueAlone) {
  const auto executable = load("qwen3");
  const auto tokens = golden_tokens();
  Session session(executable);
  const auto untapped = test::values_of(session.step({{session.open(), tokens, Outputs::all()}}));
  std::map<std::string, int> seen;
  session.set_tap([&](const TapEvent& event) { ++seen[std::string(event.name)]; },
                  {.names = {"blk.1.ffn_activated", "logits"}});
  EXPECT_EQ(test::values_of(session.step({{session.open(), tokens, Outputs::all()}})), untapped);
  EXPECT_EQ(seen, (std::map<std::string, int>{{"blk.1.ffn_activated", 1}, {"logits", 1}}));
  EXPECT_THROW(session.set_tap([](const TapEvent&) {}, {.names = {"blk.1.none"}}), Error);
  EXPECT_THROW(
      session.set_tap([](const TapEvent&) {}, {.detail = TapDetail::as_run, .names = {"logits"}}),
      Error);
}

// ---- one budget of cache positions

TEST_P(OutputsTest, SequencesShareOneBudgetOfPositions) {
  // 300 positions for four sequences: five pages, and one more for each other sequence's last page.
  const auto executable = load("llama", 512, 300);
  EXPECT_EQ(executable->plan().cache_positions, 300);
  LoadOptions all = test::options_for(GetParam());
  all.max_sequences = 4;
  all.run.context = 256;
  EXPECT_LT(executable->plan().cache_bytes, plan_memory(*executable->model(), all).cache_bytes);
  Session session(executable);
  EXPECT_EQ(session.free_positions(), 8 * 64);
  std::vector<TokenId> tokens(256, 7);
  const SequenceId a = session.open();
  const SequenceId b = session.open();
  session.step({{a, tokens, Outputs::none()}});
  EXPECT_EQ(session.free_positions(), 4 * 64);
  session.step({{b, std::span(tokens).first(200), Outputs::none()}});
  EXPECT_EQ(session.free_positions(), 0);
  const SequenceId c = session.open();
  const auto before = test::values_of(session.step({{b, std::span(tokens).first(1)}}));
  try {
    session.step({{b, std::span(tokens).first(2)}, {c, std::span(tokens).first(3)}});
    FAIL() << "a full cache took a step";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("needs 1 pages"), std::string::npos) << error.what();
  }
  EXPECT_EQ(session.position(b), 201);
  EXPECT_EQ(session.position(c), 0);
  session.rewind(b, 200);
  EXPECT_EQ(test::values_of(session.step({{b, std::span(tokens).first(1)}})), before);
  session.close(a);
  EXPECT_EQ(session.free_positions(), 4 * 64);
  EXPECT_NO_THROW(session.step({{c, tokens, Outputs::none()}}));
}

// A step that fails after its fork has taken a page of its own must give the shared one back,
// whole.
TEST_P(OutputsTest, AForkThatFailsToWriteKeepsWhatItShares) {
  Session session(load());
  const auto tokens = golden_tokens();
  const SequenceId a = session.open();
  session.step({{a, std::span(tokens).first(20)}});
  const auto expected = test::values_of(session.step({{a, std::span(tokens).subspan(20, 5)}}));
  session.rewind(a, 20);
  const SequenceId b = session.fork(a);
  session.set_tap([](const TapEvent&) { throw std::runtime_error("no"); });
  EXPECT_THROW(session.step({{b, std::span(tokens).first(3)}, {a, std::span(tokens).first(2)}}),
               std::runtime_error);
  session.set_tap({});
  for (const SequenceId sequence : {b, a}) {
    ASSERT_EQ(session.position(sequence), 20);
    EXPECT_EQ(test::values_of(session.step({{sequence, std::span(tokens).subspan(20, 5)}})),
              expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, OutputsTest, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

}  // namespace
}  // namespace ingot
