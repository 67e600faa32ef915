// Perplexity of the bundled model on its validation text. If this fails, a device computes wrongly
// in a way that small random models do not show, or windows are counted otherwise than
// llama-perplexity counts them, and figures cannot be compared with other engines'.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "ingot/sampler/log_probability.hpp"
#include "ingot/session.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/run_program.hpp"

namespace ingot {
namespace {

using test::ProgramResult;
using test::run_ingot;

const std::filesystem::path kFolder = std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano";
const std::string kModel = (kFolder / "ingot-nano-code-q8_0.gguf").string();
const std::string kText = (kFolder / "valid.txt").string();

struct Line {
  double perplexity = NAN;
  double standard_error = NAN;
  int windows = 0;
  int window = 0;
  int scored = 0;
  int tokens = 0;
};

Line run(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"perplexity", kModel, "--file", kText};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProgramResult result = run_ingot(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  Line line;
  EXPECT_EQ(std::sscanf(result.out.c_str(),
                        "perplexity %lf +/- %lf (%d windows of %d, %d tokens scored of %d)\n",
                        &line.perplexity, &line.standard_error, &line.windows, &line.window,
                        &line.scored, &line.tokens),
            6)
      << result.out;
  return line;
}

TEST(Perplexity, OfTheBundledModelIsThatOfAnotherEngineOnEveryDevice) {
  const Line reference = run({"--windows", "16", "--device", "reference"});
  const Line cpu = run({"--windows", "16", "--device", "cpu"});
  EXPECT_EQ(cpu.windows, 16);
  EXPECT_EQ(cpu.window, 512);
  EXPECT_EQ(cpu.scored, 16 * 255);
  EXPECT_EQ(cpu.tokens, 53084);
  // 6.0350: F16 and Q8_0 alike, by a float64 forward pass and by llama.cpp (models/nano/README.md).
  EXPECT_NEAR(reference.perplexity, 6.0350, 6.0350 * 0.005);
  EXPECT_NEAR(cpu.perplexity, 6.0350, 6.0350 * 0.005);
  EXPECT_NEAR(cpu.perplexity, reference.perplexity, reference.perplexity * 0.001);
}

TEST(Perplexity, CountsAsItsDefinitionSays) {
  constexpr std::size_t kWindow = 33;  // odd: the halves differ
  const Line line = run({"--ctx", "33", "--windows", "3", "--device", "reference", "--cache-type-k",
                         "f32", "--cache-type-v", "f32"});
  EXPECT_EQ(line.scored, 3 * (33 - 16 - 1));

  // Written out: each window alone, from its first token; ids 17 to 32 of it are scored.
  LoadOptions options;
  options.device = "reference";
  options.cache = {DType::F32, DType::F32};
  options.run.context = kWindow;
  const auto executable = Executable::load(Model::open(kModel), options);
  const std::vector<char> bytes = test::read_array<char>(kText);
  const auto ids = executable->model()->tokenizer()->encode(
      std::string_view(bytes.data(), bytes.size()), {.parse_special = false});
  Session session(executable);
  double sum = 0;
  double squares = 0;
  for (std::size_t w = 0; w < 3; ++w) {
    const auto window = std::span(ids).subspan(w * kWindow, kWindow);
    const SequenceId sequence = session.open();
    const StepResult result = session.step({{sequence, window, Outputs::all()}});
    for (std::size_t i = 16; i < 32; ++i) {
      const double score =
          -log_probabilities(result.logits(static_cast<std::int64_t>(i)), window[i + 1])
               .chosen.log_probability;
      sum += score;
      squares += score * score;
    }
    session.close(sequence);
  }
  const double mean = sum / 48;
  const double perplexity = std::exp(mean);
  const double error = perplexity * std::sqrt((squares / 48 - mean * mean) / 47);
  // Printed with four digits; the logits agree to 1e-5.
  EXPECT_NEAR(line.perplexity, perplexity, 5e-5 + 1e-5 * perplexity);
  EXPECT_NEAR(line.standard_error, error, 5e-5 + 1e-4 * error);
}

TEST(Perplexity, TooShortATextIsAnError) {
  const ProgramResult result =
      run_ingot({"perplexity", kModel, "--file", "-"}, {.in = "def f(): pass\n"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("window"), std::string::npos) << result.err;
  EXPECT_EQ(run_ingot({"perplexity", kModel, "--file", kText, "--ctx", "3"}).exit_code, 2);
}

}  // namespace
}  // namespace ingot
