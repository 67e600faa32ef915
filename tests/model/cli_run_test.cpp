// The contract of `ingot run`, which people and scripts rely on: text on stdout and nothing else,
// timings on stderr, exit codes.
#include <gtest/gtest.h>

#include "ingot/generate.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/run_shared.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::ProgramResult;
using test::run_ingot;
using Arguments = std::vector<std::string>;

std::string bundled_model() {
  return (std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf")
      .string();
}

/// `ingot run` of the bundled model, greedy.
ProgramResult run(const Arguments& more, const test::ProgramOptions& options = {}) {
  Arguments arguments = {"run", bundled_model(), "--temp", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_ingot(arguments, options);
}

const std::string kPrompt = "import os\nimport sys\n\n\ndef main(";

/// What the library generates for the same prompt.
GenerateResult expected(const std::string& prompt, std::int64_t max_tokens) {
  static const auto executable = Executable::load(Model::open(bundled_model()), {});
  Session session(executable);
  GenerateRequest request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.sampler.temperature = 0;
  return generate(session, request);
}

std::filesystem::path write(const test::ScratchFolder& folder, const std::string& name,
                            const std::string& text) {
  return folder.file(name, std::as_bytes(std::span(text.data(), text.size())));
}

TEST(CliRun, StdoutHasTheGeneratedTextAndNothingElse) {
  const GenerateResult wanted = expected(kPrompt, 24);
  ASSERT_GT(wanted.text.size(), 10U);
  const ProgramResult result = run({"-p", kPrompt, "-n", "24"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, wanted.text);
  for (const char* part : {"load ", "prompt ", "generate ", "tokens/s", "cache ", "context "}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << " in " << result.err;
  }
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << "a progress bar without a terminal";
}

TEST(CliRun, ThePromptMayComeFromAFileOrStdin) {
  const test::ScratchFolder folder;
  const std::string path = write(folder, "prompt.py", kPrompt).string();
  const std::string wanted = expected(kPrompt, 8).text;
  EXPECT_EQ(run({"-f", path, "-n", "8"}).out, wanted);
  EXPECT_EQ(run({"-f", "-", "-n", "8"}, {.in = kPrompt}).out, wanted);
}

TEST(CliRun, PromptsThatLookLikeSyntaxAreTakenAsTheyAre) {
  for (const std::string prompt : {"[a, b]", "{}", "--x", "\"quoted\"", "a,b", "%%", "x=1"}) {
    const ProgramResult result = run({"-p", prompt, "-n", "3"});
    EXPECT_EQ(result.exit_code, 0) << prompt << ": " << result.err;
    EXPECT_EQ(result.out, expected(prompt, 3).text) << prompt;
  }
}

TEST(CliRun, StopsBeforeAStopString) {
  const std::string whole = expected(kPrompt, 24).text;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const ProgramResult result =
      run({"-p", kPrompt, "-n", "24", "--stop", "[no, such]", "--stop", stop});
  EXPECT_EQ(result.out, whole.substr(0, whole.find(stop)));
  EXPECT_NE(result.err.find("stop_string"), std::string::npos) << result.err;
}

TEST(CliRun, ASeedRepeatsAText) {
  const Arguments arguments = {"run", bundled_model(), "-p",  kPrompt,   "-n",   "16",     "--temp",
                               "1.2", "--top-k",       "100", "--top-p", "0.99", "--seed", "5"};
  const ProgramResult first = run_ingot(arguments);
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(run_ingot(arguments).out, first.out);
  Arguments other = arguments;
  other.back() = "6";
  EXPECT_NE(run_ingot(other).out, first.out);

  // -1 draws one and names it, so that the text can be had again.
  other.back() = "-1";
  const auto seed_of = [](const ProgramResult& result) {
    const std::size_t at = result.err.find(", seed ");
    EXPECT_NE(at, std::string::npos) << result.err;
    return result.err.substr(at + 7, result.err.find(')', at) - at - 7);
  };
  const ProgramResult random = run_ingot(other);
  EXPECT_EQ(random.exit_code, 0) << random.err;
  EXPECT_NE(seed_of(random), seed_of(run_ingot(other)));
  other.back() = seed_of(random);
  EXPECT_EQ(run_ingot(other).out, random.out);
}

TEST(CliRun, TheCacheTypesAndDeviceAreThoseAskedFor) {
  const ProgramResult result =
      run({"-p", kPrompt, "-n", "4", "--cache-type-k", "q8_0", "--cache-type-v", "Q4_0", "--ctx",
           "256", "--threads", "1", "--device", "reference"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("q8_0/q4_0, context 256"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("reference"), std::string::npos) << result.err;
}

TEST(CliRun, FillsInTheMiddle) {
  const test::ScratchFolder folder;
  const std::string before = "def add(a, b):\n    return ";
  const std::string after = "\n\n\nprint(add(1, 2))\n";
  const std::string prefix = write(folder, "prefix", before).string();
  const std::string suffix = write(folder, "suffix", after).string();
  const ProgramResult result = run({"--fim-prefix", prefix, "--fim-suffix", suffix, "-n", "16"});
  EXPECT_EQ(result.exit_code, 0) << result.err;

  const auto executable = Executable::load(Model::open(bundled_model()), {});
  const FimPrompt prompt = build_fim_prompt(*executable->model()->tokenizer(), before, after);
  GenerateRequest request;
  request.prompt_ids = prompt.ids;
  request.stop_ids = prompt.stop_ids;
  request.max_tokens = 16;
  request.sampler.temperature = 0;
  Session session(executable);
  EXPECT_EQ(result.out, generate(session, request).text);
  EXPECT_EQ(result.out.find("<|"), std::string::npos) << "a mark in the text";

  // Longer than the context: refused, or trimmed when allowed.
  const std::string long_prefix = write(folder, "long", std::string(4000, 'x') + before).string();
  const Arguments too_long = {"--fim-prefix", long_prefix, "--fim-suffix", suffix,
                              "-n",           "8",         "--ctx",        "128"};
  EXPECT_EQ(run(too_long).exit_code, 1);
  Arguments trimmed = too_long;
  trimmed.push_back("--fim-trim");
  const ProgramResult fits = run(trimmed);
  EXPECT_EQ(fits.exit_code, 0) << fits.err;
  EXPECT_NE(fits.err.find("trimmed"), std::string::npos) << fits.err;
}

// Whatever -n is: a prompt that fits is not refused and not trimmed.
TEST(CliRun, TrimmingNeedsNoRoomForWhatFits) {
  const test::ScratchFolder folder;
  const std::string prefix = write(folder, "prefix", "def add(a, b):\n    return ").string();
  const std::string suffix = write(folder, "suffix", "\n\n\nprint(add(1, 2))\n").string();
  const auto fill = [&](const std::string& context, const std::string& count) {
    return run({"--fim-prefix", prefix, "--fim-suffix", suffix, "--fim-trim", "--ctx", context,
                "-n", count});
  };
  const std::string beginning = fill("64", "4").out;
  ASSERT_FALSE(beginning.empty());
  for (const char* count : {"60", "62", "63", "64", "65", "1000", "-1"}) {
    const ProgramResult result = fill("64", count);
    EXPECT_EQ(result.exit_code, 0) << count << ": " << result.err;
    EXPECT_EQ(result.err.find("trimmed"), std::string::npos) << count << ": " << result.err;
    EXPECT_EQ(result.out.substr(0, beginning.size()), beginning) << count;
  }
  // One that does not fit leaves half of the context at least to the prompt, and something to
  // generate: 16 tokens, 8 of them free.
  for (const char* count : {"14", "16", "1000", "-1"}) {
    const ProgramResult result = fill("16", count);
    EXPECT_EQ(result.exit_code, 0) << count << ": " << result.err;
    EXPECT_NE(result.err.find("trimmed"), std::string::npos) << count << ": " << result.err;
    EXPECT_NE(result.err.find("prompt    8 tokens"), std::string::npos) << result.err;
  }
}

TEST(CliRun, TheTimingsBeginTheirOwnLine) {
  const std::string text = expected(kPrompt, 6).text;
  ASSERT_NE(text.back(), '\n');
  const Arguments arguments = {"run", bundled_model(), "--temp", "0", "-p", kPrompt, "-n", "6"};
  const test::ScratchFolder folder;
  const std::string in_file = test::run_into_one_file(arguments, (folder / "both.txt").string());
  EXPECT_NE(in_file.find(text + "\nprompt "), std::string::npos) << in_file;

  const std::string on_terminal = test::run_on_terminal(arguments);
  std::string shown;
  for (const char c : text) shown += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_NE(on_terminal.find(shown + "\r\nprompt "), std::string::npos) << on_terminal;

  // Apart, neither gets a line end that is not its own; and a text that ends its line gets no
  // other.
  const ProgramResult apart = run_ingot(arguments);
  EXPECT_EQ(apart.out, text);
  EXPECT_NE(apart.err.find("\nprompt "), std::string::npos);
  EXPECT_EQ(apart.err.find("\n\n"), std::string::npos) << apart.err;
  std::int64_t count = 1;
  while (count < 64 && expected(kPrompt, count).text.back() != '\n') ++count;
  ASSERT_LT(count, 64);
  Arguments whole_line = arguments;
  whole_line.back() = std::to_string(count);
  const std::string ended = test::run_into_one_file(whole_line, (folder / "line.txt").string());
  EXPECT_NE(ended.find(expected(kPrompt, count).text + "prompt "), std::string::npos) << ended;
}

TEST(CliRun, CtrlCEndsWithTimingsAndExitCode130) {
  const ProgramResult result =
      run({"-p", kPrompt, "-n", "-1", "--device", "reference", "--repeat-penalty", "1.3"},
          {.interrupt_after = 1});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("cancelled"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("tokens/s"), std::string::npos) << result.err;
}

TEST(CliRun, AFullDiskIsAFailure) {
  const ProgramResult result = run({"-p", kPrompt, "-n", "8"}, {.out_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("standard output"), std::string::npos) << result.err;
}

TEST(CliRun, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(run({"-p", kPrompt, "--ctx", "4"}).exit_code, 1);  // the prompt is longer
  const ProgramResult beyond = run({"-p", kPrompt, "--ctx", "1000000"});
  EXPECT_EQ(beyond.exit_code, 1);
  EXPECT_EQ(beyond.error_lines(), 1U) << beyond.err;
  EXPECT_EQ(beyond.out, "");
}

TEST(CliRun, BadUsageIsExitCode2AndOneLine) {
  const std::string model = bundled_model();
  const std::vector<Arguments> bad = {
      {"run"},
      {"run", model},
      {"run", model, "-p", "a", "-f", "b"},
      {"run", model, "-p", "a", "--fim-prefix", "b", "--fim-suffix", "c"},
      {"run", model, "--fim-prefix", "b"},
      {"run", model, "-p", "a", "-n", "many"},
      {"run", model, "-p", "a", "-n", "-2"},
      {"run", model, "-p", "a", "--temp", "-1"},
      {"run", model, "-p", "a", "--temp", "nan"},
      {"run", model, "-p", "a", "--top-p", "2"},
      {"run", model, "-p", "a", "--ctx", "0"},
      {"run", model, "-p", "a", "--stop", ""},
      {"run", model, "-p", "a", "--device", "abacus"},
      {"run", model, "-p", "a", "--cache-type-k", "q6_k"},
      {"run", model, "-p", "a", "--threads", "-1"},
      {"run", model, "-p", "a", "--no-such-option"},
      {"run", model, "-p", "a", "stray"},
      {},
      {"walk"},
  };
  for (const Arguments& arguments : bad) {
    const ProgramResult result = run_ingot(arguments);
    const std::string shown = ::testing::PrintToString(arguments);
    EXPECT_EQ(result.exit_code, 2) << shown << ": " << result.err;
    EXPECT_EQ(result.error_lines(), 1U) << shown << ": " << result.err;
    EXPECT_EQ(result.out, "") << shown;
    EXPECT_EQ(result.err.find("ingot: "), 0U) << shown << ": " << result.err;
  }
}

TEST(CliRun, FailuresAreExitCode1AndOneLine) {
  const test::ScratchFolder folder;
  const std::string text = write(folder, "not-a-model", "just text").string();
  const std::vector<Arguments> failing = {
      {"run", (folder / "absent.gguf").string(), "-p", "a"},
      {"run", text, "-p", "a"},
      {"run", folder.path().string(), "-p", "a"},
      {"run", bundled_model(), "-f", (folder / "absent.txt").string()},
  };
  for (const Arguments& arguments : failing) {
    const ProgramResult result = run_ingot(arguments);
    const std::string shown = ::testing::PrintToString(arguments);
    EXPECT_EQ(result.exit_code, 1) << shown << ": " << result.err;
    EXPECT_EQ(result.error_lines(), 1U) << shown << ": " << result.err;
    EXPECT_EQ(result.out, "") << shown;
  }
}

TEST(CliRun, HelpAndVersionAreSuccesses) {
  const ProgramResult version = run_ingot({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.find("ingot "), 0U) << version.out;
  EXPECT_EQ(run_ingot({"--help"}).exit_code, 0);
  EXPECT_NE(run_ingot({"run", "-h"}).out.find("--cache-type-k"), std::string::npos);
  EXPECT_EQ(run_ingot({"--help"}, {.out_file = "/dev/full"}).exit_code, 1);
  const ProgramResult devices = run_ingot({"devices"});
  EXPECT_EQ(devices.exit_code, 0);
  EXPECT_NE(devices.out.find("reference"), std::string::npos);
}

}  // namespace
}  // namespace ingot
