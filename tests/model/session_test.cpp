// Sessions: what a caller may do with sequences, and that every refusal leaves them as they were.
#include "ingot/session.hpp"

#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::all_logits;
using test::golden_tokens;

class SessionTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<const Executable> load(std::int64_t max_sequences = 3, DType cache = DType::F16,
                                         std::int64_t context = 256,
                                         std::int64_t max_step_tokens = 512) {
    LoadOptions options = test::options_for(GetParam(), cache);
    options.max_sequences = max_sequences;
    options.run.context = context;
    options.max_step_tokens = max_step_tokens;
    return Executable::load(test::small_model("llama"), options);
  }
  // Longer than a page, so that sharing, copying and rewinding cross a border.
  static std::vector<TokenId> long_tokens(std::size_t count) {
    const auto tokens = golden_tokens();
    std::vector<TokenId> out;
    while (out.size() < count) out.push_back(tokens[out.size() * 7 % tokens.size()]);
    return out;
  }
  static std::vector<float> last_logits(Session& session, SequenceId sequence,
                                        std::span<const TokenId> tokens) {
    return test::values_of(session.step({{sequence, tokens}}));
  }
};

template <class Call>
void expect_error(ErrorCode code, const std::string& part, Call call) {
  try {
    call();
    FAIL() << "expected an Error with \"" << part << "\"";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST_P(SessionTest, ForksGoTheirOwnWaysFromSharedPages) {
  const auto executable = load();
  const auto tokens = long_tokens(150);
  const auto shared = std::span(tokens).first(100);  // in the middle of the second page
  const auto left_tail = std::span(tokens).subspan(100, 30);
  const auto right_tail = std::span(tokens).subspan(120, 30);

  Session forked(executable);
  const SequenceId left = forked.open();
  forked.step({{left, shared}});
  const SequenceId right = forked.fork(left);
  EXPECT_EQ(forked.position(right), 100);
  const auto left_logits = last_logits(forked, left, left_tail);
  const auto right_logits = last_logits(forked, right, right_tail);

  Session plain(executable);
  for (const auto& [tail, expected] :
       {std::pair{left_tail, left_logits}, {right_tail, right_logits}}) {
    const SequenceId sequence = plain.open();
    plain.step({{sequence, shared}});
    EXPECT_EQ(last_logits(plain, sequence, tail), expected)
        << "a fork changed what the other sequence sees";
  }
}

TEST_P(SessionTest, RewindForgetsExactlyWhatCameAfter) {
  Session session(load());
  const auto tokens = long_tokens(140);
  const SequenceId sequence = session.open();
  session.step({{sequence, std::span(tokens).first(70)}});
  const auto expected = last_logits(session, sequence, std::span(tokens).subspan(70, 10));
  session.step({{sequence, std::span(tokens).subspan(90, 50)}});
  EXPECT_EQ(session.rewind(sequence, 70), 70);
  EXPECT_EQ(session.position(sequence), 70);
  EXPECT_EQ(session.tokens(sequence).size(), 70U);
  EXPECT_EQ(last_logits(session, sequence, std::span(tokens).subspan(70, 10)), expected);
  EXPECT_EQ(session.rewind(sequence, 1000), 80) << "rewinding forward must not invent positions";
  EXPECT_EQ(session.rewind(sequence, 0), 0);
}

TEST_P(SessionTest, LogitsOfChosenRowsAreThoseOfAllRows) {
  Session session(load());
  const auto tokens = golden_tokens();
  const auto all = all_logits(session, session.open(), tokens);
  const SequenceId a = session.open();
  const SequenceId b = session.open();
  const StepResult some =
      session.step({{a, tokens, test::rows_of({0, 5, 47})}, {b, std::span(tokens).first(9)}});
  ASSERT_EQ(some.row_count(), 4);
  EXPECT_EQ(some.first_row(0), 0);
  EXPECT_EQ(some.first_row(1), 3);
  EXPECT_EQ(some.first_row(2), 4);
  // Other rows in the step may change the order of sums by a little, not more.
  const std::size_t rows[] = {0, 5, 47, 8};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto expected = std::span(all).subspan(rows[i] * 512, 512);
    EXPECT_LE(test::relative_error(some.logits(static_cast<std::int64_t>(i)), expected, 512).whole,
              1e-4);
  }
  session.rewind(a, 0);
  EXPECT_EQ(session.step({{a, tokens, Outputs::none()}}).row_count(), 0);
}

TEST_P(SessionTest, AStepLongerThanTheDeviceTakesIsSplitUnseen) {
  const auto tokens = long_tokens(130);
  Session whole(load(2, DType::F32));
  Session split(load(2, DType::F32, 256, 16));
  std::vector<float> results[2];
  int index = 0;
  for (Session* session : {&whole, &split}) {
    const SequenceId a = session->open();
    const SequenceId b = session->open();
    results[index++] = test::values_of(session->step(
        {{a, tokens, Outputs::all()}, {b, std::span(tokens).subspan(3, 21), Outputs::all()}}));
  }
  ASSERT_EQ(results[0].size(), 151U * 512U);
  EXPECT_LE(test::relative_error(results[1], results[0], 512).worst_row, 1e-4);
}

TEST_P(SessionTest, SaveAndRestoreGiveTheSameNextLogits) {
  const test::ScratchFolder folder;
  const auto executable = load(3, DType::Q8_0);
  const auto tokens = long_tokens(90);
  const auto next = std::span(tokens).subspan(77, 13);
  Session session(executable);
  const SequenceId sequence = session.open();
  session.step({{sequence, std::span(tokens).first(77)}});
  session.save(sequence, folder / "sequence.ingot");
  const auto expected = last_logits(session, sequence, next);

  Session later(executable);
  const SequenceId restored = later.restore(folder / "sequence.ingot");
  EXPECT_EQ(later.position(restored), 77);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + 77, later.tokens(restored).begin()));
  EXPECT_EQ(last_logits(later, restored, next), expected);
}

TEST_P(SessionTest, DamagedOrForeignSavedSequencesAreRefused) {
  const test::ScratchFolder folder;
  const auto path = folder / "sequence.ingot";
  const auto tokens = golden_tokens();
  Session session(load(3, DType::F16));
  const SequenceId sequence = session.open();
  session.step({{sequence, tokens}});
  session.save(sequence, path);
  const auto good = test::read_array<char>(path);
  const auto refused = [&](const std::vector<char>& bytes, const std::string& why) {
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    expect_error(ErrorCode::bad_file, why, [&] { session.restore(path); });
  };
  refused({}, "too early");
  refused({good.begin(), good.begin() + 30}, "too early");
  refused({good.begin(), good.end() - 1}, "bytes instead of");
  auto bad = good;
  bad[0] = 'X';
  refused(bad, "not one");
  bad = good;
  bad[good.size() / 2] = static_cast<char>(bad[good.size() / 2] ^ 1);
  refused(bad, "checksum");
  EXPECT_EQ(session.position(sequence), static_cast<std::int64_t>(tokens.size()));
}

TEST_P(SessionTest, ASavedSequenceOfAnotherCacheTypeOrModelIsRefused) {
  const test::ScratchFolder folder;
  const auto path = folder / "sequence.ingot";
  Session session(load(3, DType::F16));
  const SequenceId sequence = session.open();
  session.step({{sequence, golden_tokens()}});
  session.save(sequence, path);
  Session other_type(load(3, DType::Q8_0));
  expect_error(ErrorCode::bad_file, "cache types", [&] { other_type.restore(path); });
  Session other_model(
      Executable::load(test::small_model("qwen2"), test::options_for(GetParam(), DType::F16)));
  expect_error(ErrorCode::bad_file, "another model", [&] { other_model.restore(path); });
}

TEST_P(SessionTest, WrongRequestsAreRefusedAndChangeNothing) {
  Session session(load(2, DType::F16, 64));
  const auto tokens = golden_tokens();
  const SequenceId sequence = session.open();
  session.step({{sequence, std::span(tokens).first(20)}});
  const auto unchanged = [&] { EXPECT_EQ(session.position(sequence), 20); };
  const std::vector<TokenId> outside = {1, 512};
  const std::vector<TokenId> negative = {-1};
  const auto few = std::span(tokens).first(4);
  const auto invalid = ErrorCode::invalid_argument;
  expect_error(invalid, "512", [&] { session.step({{sequence, outside}}); });
  expect_error(invalid, "-1", [&] { session.step({{sequence, negative}}); });
  expect_error(invalid, "no tokens", [&] { session.step({{sequence, {}}}); });
  expect_error(invalid, "not open", [&] { session.step({{SequenceId{99}, tokens}}); });
  expect_error(invalid, "twice", [&] { session.step({{sequence, few}, {sequence, few}}); });
  expect_error(invalid, "context of 64", [&] { session.step({{sequence, tokens}}); });
  expect_error(invalid, "rows must ascend", [&] {
    session.step({{sequence, few, test::rows_of({2, 2})}});
  });
  expect_error(invalid, "rows must ascend", [&] {
    session.step({{sequence, few, test::rows_of({4})}});
  });
  expect_error(invalid, "cannot rewind", [&] { session.rewind(sequence, -1); });
  unchanged();
  session.open();
  expect_error(invalid, "max_sequences", [&] { session.open(); });
  expect_error(invalid, "max_sequences", [&] { session.fork(sequence); });
  session.close(sequence);
  expect_error(invalid, "not open", [&] { session.position(sequence); });
}

// The parts that were finished stay, so that a long prompt is not computed twice.
TEST_P(SessionTest, ACancelledStepKeepsWhatItFinished) {
  Session session(load(2, DType::F16, 256, 8));
  const auto tokens = golden_tokens();
  const SequenceId sequence = session.open();
  const auto expected = last_logits(session, sequence, tokens);
  session.rewind(sequence, 0);
  session.step({{sequence, std::span(tokens).first(5)}});
  StepOptions options;
  options.cancel = Cancel();
  options.progress = [&](std::string_view, std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, tokens.size() - 5);
    if (done >= 16) options.cancel.request();
  };
  expect_error(ErrorCode::cancelled, "cancelled", [&] {
    session.step({{sequence, std::span(tokens).subspan(5)}}, options);
  });
  EXPECT_EQ(session.position(sequence), 5 + 16);
  ASSERT_EQ(session.tokens(sequence).size(), 5U + 16U);
  const auto rest = last_logits(session, sequence, std::span(tokens).subspan(5 + 16));
  EXPECT_LE(test::relative_error(rest, expected, 512).whole, 1e-4);
}

// As an editor cancels a long prompt and asks again: only what was not finished is computed.
TEST(SessionCancel, APromptOf1000TokensGoesOnWhereItWasCancelled) {
  const std::string nano =
      (std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf").string();
  LoadOptions options;
  options.run.context = 1024;
  options.run.rope_base = 10000.0;  // its own, said: it was made for 512 positions
  options.max_step_tokens = 128;
  const auto executable = Executable::load(Model::open(nano), options);
  std::vector<TokenId> tokens(1000);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<TokenId>(3 + i * 2654435761U % 400);
  }
  Session whole(executable);
  const auto expected = test::values_of(whole.step({{whole.open(), tokens}}));

  Session session(executable);
  const SequenceId sequence = session.open();
  const Cancel cancel;
  std::atomic<bool> begun = false;
  std::thread canceller([&] {
    while (!begun) std::this_thread::yield();
    cancel.request();
  });
  StepOptions stopping;
  stopping.cancel = cancel;
  stopping.progress = [&](std::string_view, std::uint64_t done, std::uint64_t) {
    begun = done >= 256;
    while (begun && !cancel.requested()) std::this_thread::yield();
  };
  expect_error(ErrorCode::cancelled, "cancelled", [&] {
    session.step({{sequence, tokens}}, stopping);
  });
  canceller.join();
  const std::int64_t kept = session.position(sequence);
  EXPECT_EQ(kept, 256);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + kept, session.tokens(sequence).begin(),
                         session.tokens(sequence).end()));
  std::uint64_t computed = 0;
  StepOptions counting;
  counting.progress = [&](std::string_view, std::uint64_t, std::uint64_t total) {
    computed = total;
  };
  const auto rest = session.step(
      {{{sequence, std::span(tokens).subspan(static_cast<std::size_t>(kept))}}}, counting);
  EXPECT_EQ(computed, 1000U - static_cast<std::uint64_t>(kept));
  EXPECT_EQ(test::values_of(rest), expected) << "the same parts give the same bits";
}

TEST_P(SessionTest, AThrowingTapEndsTheStepCleanly) {
  Session session(load());
  const auto tokens = golden_tokens();
  const SequenceId sequence = session.open();
  session.set_tap([](const TapEvent& event) {
    if (event.name == "blk.1.ffn_out") fail(ErrorCode::cancelled, "enough of ", event.name);
  });
  expect_error(ErrorCode::cancelled, "blk.1.ffn_out", [&] { session.step({{sequence, tokens}}); });
  EXPECT_EQ(session.position(sequence), 0);
  session.set_tap({});
  EXPECT_EQ(session.step({{sequence, tokens}}).row_count(), 1);
}

TEST_P(SessionTest, TapsSeeEveryValueOnceAndTheirChangesCount) {
  Session session(load());
  const auto tokens = golden_tokens();
  const auto before = last_logits(session, session.open(), tokens);
  std::vector<std::string> names;
  session.set_tap([&](const TapEvent& event) {
    names.emplace_back(event.name);
    EXPECT_EQ(event.data.size(), static_cast<std::size_t>(event.rows * event.columns));
    if (event.name == "logits") {
      for (float& x : event.data) x += 1;
    }
  });
  const auto after = last_logits(session, session.open(), tokens);
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "embedding");
  EXPECT_EQ(names.back(), "logits");
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i] + 1, 1e-4);
}

TEST_P(SessionTest, SessionsOfOneExecutableRunFromSeveralThreads) {
  const auto executable = load();
  const auto tokens = golden_tokens();
  Session alone(executable);
  const auto expected = all_logits(alone, alone.open(), tokens, 5);
  std::vector<std::vector<float>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      Session session(executable);
      result = all_logits(session, session.open(), tokens, 5);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

INSTANTIATE_TEST_SUITE_P(Devices, SessionTest, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

}  // namespace
}  // namespace ingot
