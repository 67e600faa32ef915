// How the ingot program ends when it is told to, and when its model is taken away: with a message
// where there is one to give, the exit code that shells expect, and nothing left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "tests/support/golden.hpp"
#include "tests/support/running_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

namespace fs = std::filesystem;
using test::RunningProgram;
using test::ScratchFolder;

std::string arch(const std::string& name) {
  return test::test_data("arch/" + name).string();
}

/// Everything in the folder but the program's own messages.
std::vector<std::string> left_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("program.", 0) != 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// A model of several gigabytes: the program is stopped long before it is written.
std::vector<std::string> long_synth(const fs::path& out) {
  return {"synth", "qwen2.5-coder-7b", out.string(), "--type", "Q8_0", "--layers", "4"};
}

/// A file is being written in the folder, with a name or without.
bool is_writing(const RunningProgram& program, const fs::path& folder) {
  return program.has_open(folder.string() + "/#") || program.has_open((folder / "out").string());
}

class CliSignals : public ::testing::TestWithParam<int> {};

TEST_P(CliSignals, EndAWriterWithoutLeavings) {
  const ScratchFolder folder;
  std::ofstream(folder / "out.gguf") << "what was there before";
  RunningProgram program(long_synth(folder / "out.gguf"), folder.path());
  ASSERT_TRUE(program.wait_until([&] { return is_writing(program, folder.path()); }))
      << program.err();
  program.send(GetParam());
  EXPECT_EQ(program.wait(), 128 + GetParam()) << program.err();
  EXPECT_EQ(left_in(folder.path()), std::vector<std::string>{"out.gguf"});
  EXPECT_EQ(fs::file_size(folder / "out.gguf"), 21U);
  if (GetParam() != SIGKILL) {
    EXPECT_EQ(program.err(), "ingot: interrupted\n");
  }
}

INSTANTIATE_TEST_SUITE_P(All, CliSignals,
                         ::testing::Values(SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGKILL),
                         [](const auto& parameter) {
                           return "signal" + std::to_string(parameter.param);
                         });

// Two quick signals: the second one does not wait for the work.
TEST(CliSignal, TwiceEndsAtOnceAndLeavesNothingEither) {
  const ScratchFolder folder;
  RunningProgram program(long_synth(folder / "out.gguf"), folder.path());
  ASSERT_TRUE(program.wait_until([&] { return is_writing(program, folder.path()); }))
      << program.err();
  program.send(SIGTERM);
  program.send(SIGHUP);
  const int code = program.wait();
  EXPECT_TRUE(code == 128 + SIGTERM || code == 128 + SIGHUP) << code;
  EXPECT_EQ(left_in(folder.path()), std::vector<std::string>{});
}

TEST(CliSignal, IgnoredAtTheStartStaysIgnored) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    const ScratchFolder folder;
    RunningProgram program(long_synth(folder / "out.gguf"), folder.path(), {signal});
    ASSERT_TRUE(program.wait_until([&] { return is_writing(program, folder.path()); }))
        << program.err();
    program.send(signal);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_TRUE(is_writing(program, folder.path())) << "signal " << signal << " ended it";
    const int other = signal == SIGINT ? SIGTERM : SIGINT;
    program.send(other);
    EXPECT_EQ(program.wait(), 128 + other) << program.err();
    EXPECT_EQ(left_in(folder.path()), std::vector<std::string>{});
  }
}

// ---- a model that loses its bytes ---------------------------------------------------------------

/// Shortens the model between the opening of its file and the first use of its weights.
int run_while_shortened(const ScratchFolder& folder, const std::vector<std::string>& more,
                        std::string& err) {
  const fs::path model = folder / "model.gguf";
  fs::copy_file(arch("llama.gguf"), model);
  const fs::path tokens = folder / "tokens";
  EXPECT_EQ(::mkfifo(tokens.c_str(), 0600), 0);
  std::vector<std::string> arguments = {"logits",        model.string(), "--tokens",
                                        tokens.string(), "--out",        (folder / "out").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  RunningProgram program(arguments, folder.path());
  // Opened for writing, the pipe tells that the program waits at its other end: the model's
  // metadata have been read.
  int pipe = -1;
  EXPECT_TRUE(program.wait_until([&] {
    pipe = ::open(tokens.c_str(), O_WRONLY | O_NONBLOCK);
    return pipe >= 0;
  }));
  fs::resize_file(model, 1 << 12);
  const std::vector<TokenId> ids = test::golden_tokens();
  EXPECT_EQ(::write(pipe, ids.data(), ids.size() * sizeof(TokenId)),
            static_cast<ssize_t>(ids.size() * sizeof(TokenId)));
  ::close(pipe);
  const int code = program.wait();
  err = program.err();
  return code;
}

TEST(CliBusError, AModelShortenedWhileInUseIsNamed) {
  const ScratchFolder folder;
  std::string err;
  EXPECT_EQ(run_while_shortened(folder, {}, err), 1) << err;
  EXPECT_NE(err.find("'" + (folder / "model.gguf").string() + "' lost bytes"), std::string::npos)
      << err;
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(CliBusError, WithoutAMappingTheModelIsSafe) {
  const ScratchFolder folder;
  std::string err;
  ASSERT_EQ(run_while_shortened(folder, {"--no-map"}, err), 0) << err;
  const auto error = test::relative_error(test::read_array<float>(folder / "out"),
                                          test::golden_logits("llama"), 512);
  EXPECT_LE(error.worst_row, 1e-4);
}

}  // namespace
}  // namespace ingot
