// States with a window: what they give back must never be needed again, and everything a session
// does with sequences must work for models that mix them with full states. gemma3 has windows of 13
// on six of seven layers, phi3 20 on all; pages hold 64 positions.
#include <numeric>

#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::all_logits;
using test::relative_error;

class WindowStatesTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<const Executable> load(std::int64_t max_step_tokens = 64,
                                         const std::string& model = "gemma3",
                                         std::int64_t max_sequences = 2) {
    LoadOptions options = test::options_for(GetParam());
    options.max_step_tokens = max_step_tokens;
    options.max_sequences = max_sequences;
    return Executable::load(test::small_model(model), options);
  }
  double bound() const { return GetParam() == "reference" ? 1e-5 : 1e-4; }
  static std::vector<TokenId> long_tokens() {
    return test::read_array<TokenId>(test::test_data("arch/gemma3-long.tokens.i32"));
  }
  static std::vector<float> last_rows(Session& session, SequenceId sequence,
                                      std::span<const TokenId> tokens, std::size_t count) {
    session.step({{sequence, tokens.first(tokens.size() - count), Outputs::none()}});
    return test::values_of(session.step({{sequence, tokens.last(count), Outputs::all()}}));
  }
};

TEST_P(WindowStatesTest, ALongTextGivesTheGoldenLogits) {
  const auto golden = test::read_array<float>(test::test_data("arch/gemma3-long.logits.f32"));
  const auto tokens = long_tokens();
  for (const std::int64_t step : {7, 64, 400}) {
    Session session(load(step));
    const auto logits = last_rows(session, session.open(), tokens, 8);
    EXPECT_LE(relative_error(logits, golden, 512).worst_row, bound()) << "steps of " << step;
  }
}

// The plan counts windows, reserve and steps, not the context; and that is enough to run it.
TEST_P(WindowStatesTest, ThePlanCountsWindowsAndNotTheContext) {
  const auto plan = [&](const std::string& model, std::int64_t context, std::int64_t step) {
    LoadOptions options = test::options_for(GetParam());
    options.run.context = context;
    options.max_step_tokens = step;
    return plan_memory(*test::small_model(model), options);
  };
  // One full layer of seven; 2 KV heads of 16 f32 columns, keys and values.
  const std::uint64_t layer = 2 * (16 + 16) * 4;
  const MemoryPlan gemma = plan("gemma3", 512, 64);
  EXPECT_EQ(gemma.cache_bytes_per_token, layer);
  // 13 - 1 + 64 positions span 3 pages, with a step of 64 added 4: 7 pages.
  EXPECT_EQ(gemma.window_bytes, 6 * layer * 64 * 7);
  EXPECT_EQ(gemma.cache_bytes, 512 * layer + gemma.window_bytes);
  EXPECT_EQ(plan("gemma3", 448, 64).window_bytes, gemma.window_bytes);
  EXPECT_EQ(plan("gemma3", 100, 64).window_bytes, 6 * layer * 64 * 2) << "never above the context";
  const MemoryPlan phi = plan("phi3", 128, 16);
  EXPECT_EQ(phi.cache_bytes_per_token, 0U);
  EXPECT_EQ(phi.cache_bytes, phi.window_bytes);
  EXPECT_NE(gemma.to_string().find("windows"), std::string::npos) << gemma.to_string();
}

TEST_P(WindowStatesTest, AForkSharesAndThenGoesItsOwnWay) {
  const auto tokens = long_tokens();
  const auto executable = load();
  Session session(executable);
  const SequenceId first = session.open();
  session.step({{first, std::span(tokens).first(150), Outputs::none()}});
  const SequenceId second = session.fork(first);
  // Both go on for more than a window and a page, in one batch, with different texts.
  const std::vector<TokenId> other(tokens.rbegin(), tokens.rbegin() + 120);
  const StepResult both =
      session.step({{first, std::span(tokens).subspan(150, 120)}, {second, other}});
  Session alone(executable);
  const SequenceId a = alone.open();
  const auto expected_first = test::values_of(alone.step({{a, std::span(tokens).first(270)}}));
  alone.rewind(a, 0);
  alone.step({{a, std::span(tokens).first(150), Outputs::none()}});
  const auto expected_second = test::values_of(alone.step({{a, other}}));
  EXPECT_LE(relative_error(both.logits(0), expected_first, 512).whole, 1e-5);
  EXPECT_LE(relative_error(both.logits(1), expected_second, 512).whole, 1e-5);
}

TEST_P(WindowStatesTest, RewindReturnsWhatItCouldRestore) {
  const auto tokens = long_tokens();
  Session session(load());
  const SequenceId sequence = session.open();
  session.step({{sequence, std::span(tokens).first(300), Outputs::none()}});
  const auto expected =
      test::values_of(session.step({{sequence, std::span(tokens).subspan(300, 20)}}));
  EXPECT_EQ(session.rewind(sequence, 300), 300) << "within the reserve";
  EXPECT_EQ(session.tokens(sequence).size(), 300U);
  const auto again =
      test::values_of(session.step({{sequence, std::span(tokens).subspan(300, 20)}}));
  EXPECT_LE(relative_error(again, expected, 512).whole, 1e-5);

  EXPECT_EQ(session.rewind(sequence, 100), 0) << "the windows have left position 100";
  EXPECT_EQ(session.position(sequence), 0);
  EXPECT_TRUE(session.tokens(sequence).empty());
  const auto anew = test::values_of(session.step({{sequence, std::span(tokens).first(320)}}));
  EXPECT_LE(relative_error(anew, expected, 512).whole, 1e-5);
}

TEST_P(WindowStatesTest, ASavedSequenceGoesOnAsTheOneItWas) {
  const test::ScratchFolder folder;
  const auto tokens = long_tokens();
  for (const std::string model : {"gemma3", "phi3"}) {
    const std::size_t count = model == "phi3" ? 90 : 333;
    const auto executable = load(64, model);
    Session session(executable);
    const SequenceId sequence = session.open();
    session.step({{sequence, std::span(tokens).first(count), Outputs::none()}});
    session.save(sequence, folder / "sequence.ingot");
    const auto expected =
        test::values_of(session.step({{sequence, std::span(tokens).subspan(count, 30)}}));
    Session later(executable);
    const SequenceId restored = later.restore(folder / "sequence.ingot");
    EXPECT_EQ(later.position(restored), static_cast<std::int64_t>(count));
    EXPECT_EQ(test::values_of(later.step({{restored, std::span(tokens).subspan(count, 30)}})),
              expected);
    EXPECT_EQ(later.rewind(restored, static_cast<std::int64_t>(count)),
              static_cast<std::int64_t>(count));
  }
}

// A request of many steps fails in its last: the sequence is where it was, windows included.
TEST_P(WindowStatesTest, AFailedRequestLeavesTheSequenceWhereItWas) {
  const auto tokens = long_tokens();
  Session session(load(16));
  const SequenceId sequence = session.open();
  session.step({{sequence, std::span(tokens).first(70), Outputs::none()}});
  int steps = 0;
  session.set_tap([&](const TapEvent& event) {
    if (event.name == "logits" && ++steps == 18) fail(ErrorCode::cancelled, "enough");
  });
  EXPECT_THROW(session.step({{sequence, std::span(tokens).subspan(70, 300)}}), Error);
  session.set_tap({});
  EXPECT_EQ(session.position(sequence), 70);
  const auto rest = test::values_of(session.step({{sequence, std::span(tokens).subspan(70, 30)}}));
  Session other(load(16));
  const auto expected = test::values_of(other.step({{other.open(), std::span(tokens).first(100)}}));
  EXPECT_LE(relative_error(rest, expected, 512).whole, 1e-5);
}

// As many sequences as were planned for, each as long as planned, in steps of every size.
TEST_P(WindowStatesTest, ThePlannedSequencesAllFit) {
  const auto tokens = long_tokens();
  Session session(load(33, "gemma3", 4));
  std::vector<SequenceId> sequences;
  for (int i = 0; i < 4; ++i) sequences.push_back(session.open());
  for (std::int64_t done = 0; done < 396; done += 99) {
    std::vector<StepRequest> requests;
    for (const SequenceId sequence : sequences) {
      requests.push_back({sequence, std::span(tokens).subspan(static_cast<std::size_t>(done), 99),
                          Outputs::none()});
    }
    session.step(requests);
  }
  for (const SequenceId sequence : sequences) EXPECT_EQ(session.position(sequence), 396);
}

INSTANTIATE_TEST_SUITE_P(Devices, WindowStatesTest, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

}  // namespace
}  // namespace ingot
