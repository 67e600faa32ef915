// The program's RoPE options: the same as a file that states the scaling, refused by name when they
// make no sense, and enough to run a model beyond the context it was made for.
#include "tests/support/changed_model.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::run_ingot;
using Arguments = std::vector<std::string>;

std::string model_path(const std::string& name) {
  return test::test_data("arch/" + name + ".gguf").string();
}

/// Logits of the golden tokens, as `ingot logits` writes them.
std::vector<float> logits(const std::string& model, const Arguments& more) {
  const test::ScratchFolder folder;
  const std::string out = (folder / "out.f32").string();
  Arguments arguments = {"logits", model_path(model), "--tokens", "", "--out",
                         out,      "--device",        "reference"};
  arguments[3] = test::test_data("arch/tokens.i32").string();
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_ingot(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.exit_code == 0 ? test::read_array<float>(out) : std::vector<float>();
}

/// Logits of the model with keys in its file.
std::vector<float> stated(const std::string& model, const test::ModelChanges& changes) {
  Session session(Executable::load(Model::from_file(test::changed_model(model, changes)),
                                   test::options_for("reference")));
  return test::all_logits(session, session.open(), test::golden_tokens());
}

TEST(CliRope, IsWhatAFileWouldState) {
  const auto yarn =
      stated("qwen2", {.metadata = [](GgufWriter& writer) {
               writer.set("qwen2.rope.scaling.type", std::string("yarn"));
               writer.set("qwen2.rope.scaling.factor", 4.0F);
               writer.set("qwen2.rope.scaling.original_context_length", std::uint32_t{24});
             }});
  EXPECT_TRUE(logits("qwen2", {"--rope-scaling", "yarn", "--rope-factor", "4",
                               "--rope-original-ctx", "24"}) == yarn);
  const auto linear = stated("qwen2", {.metadata = [](GgufWriter& writer) {
                               writer.set("qwen2.rope.scaling.type", std::string("linear"));
                               writer.set("qwen2.rope.scaling.factor", 2.5F);
                             }});
  EXPECT_TRUE(logits("qwen2", {"--rope-scaling", "linear", "--rope-factor", "2.5"}) == linear);
  const auto base = stated("qwen2", {.metadata = [](GgufWriter& writer) {
                             writer.set("qwen2.rope.freq_base", 50000.0F);
                           }});
  EXPECT_TRUE(logits("qwen2", {"--rope-base", "50000"}) == base);
  EXPECT_FALSE(base == yarn || base == linear);
}

// gpt-oss states YaRN, factor 32: one field can be given, the others stay.
TEST(CliRope, ChangesOneFieldOfWhatTheFileStates) {
  EXPECT_TRUE(logits("gpt-oss", {"--rope-factor", "32"}) == logits("gpt-oss", {}));
  EXPECT_TRUE(logits("gpt-oss", {"--rope-scaling", "yarn"}) == logits("gpt-oss", {}));
  const auto other = stated("gpt-oss", {.metadata = [](GgufWriter& writer) {
                              writer.set("gpt-oss.rope.scaling.factor", 8.0F);
                            }});
  EXPECT_TRUE(logits("gpt-oss", {"--rope-factor", "8"}) == other);
  EXPECT_FALSE(logits("gpt-oss", {"--rope-scaling", "none"}) == other);
}

TEST(CliRope, WhatMakesNoSenseIsBadUsage) {
  const std::string tokens = test::test_data("arch/tokens.i32").string();
  const auto expect = [&](const Arguments& more, const std::string& part) {
    Arguments arguments = {"run", model_path("qwen2"), "-p", "x", "-n", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.error_lines(), 1U) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  };
  for (const char* value : {"0", "1", "-5", "nan", "inf", "-inf", "x", ""}) {
    expect({std::string("--rope-base=") + value}, "--rope-base");
    if (std::string(value) == "1") continue;
    expect({"--rope-scaling", "yarn", std::string("--rope-factor=") + value}, "--rope-factor");
  }
  expect({"--rope-scaling", "yarn", "--rope-factor", "0.25"}, "--rope-factor");
  expect({"--rope-scaling", "ntk", "--rope-factor", "4"}, "--rope-scaling");
  expect({"--rope-scaling", "yarn"}, "--rope-factor");
  expect({"--rope-factor", "4"}, "--rope-scaling");
  expect({"--rope-scaling", "none", "--rope-factor", "4"}, "none");
  for (const char* value : {"0", "-1", "2147483648"}) {
    expect({"--rope-scaling", "yarn", "--rope-factor", "4",
            std::string("--rope-original-ctx=") + value},
           "--rope-original-ctx");
  }
}

// Every command that loads a model takes them; a context beyond the model's works with them and is
// refused, with their names, without.
TEST(CliRope, ReachBeyondTheTrainedContext) {
  const std::string model = model_path("qwen2");  // made for 4096 positions
  const test::ScratchFolder folder;
  std::string text;
  while (text.size() < 40000) text += "def add(a, b):\n    return a + b\n\n";
  const std::string file =
      folder.file("text", std::as_bytes(std::span(text.data(), text.size()))).string();
  const std::vector<Arguments> commands = {
      {"run", model, "-p", "x", "-n", "1", "--ctx", "8192"},
      {"perplexity", model, "--file", file, "--ctx", "4200", "--windows", "1"},
      {"bench", model, "-p", "0", "-n", "1", "-d", "4200", "-r", "1"}};
  for (Arguments arguments : commands) {
    const auto refused = run_ingot(arguments);
    EXPECT_EQ(refused.exit_code, 1) << arguments[0] << ": " << refused.err;
    for (const char* part : {"4096", "--rope-scaling", "--rope-factor", "--rope-base"}) {
      EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
    }
    for (const char* more : {"--rope-scaling", "yarn", "--rope-factor", "4"}) {
      arguments.emplace_back(more);
    }
    const auto result = run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments[0] << ": " << result.err;
  }
  const std::string tokens = test::test_data("arch/tokens.i32").string();
  const auto diff = run_ingot({"diff", model, "--tokens", tokens, "--device", "cpu", "--against",
                               "reference", "--rope-scaling", "yarn", "--rope-factor", "4"});
  EXPECT_EQ(diff.exit_code, 0) << diff.err << diff.out;
  const auto program = run_ingot({"inspect", model, "--program", "--rope-base", "0"});
  EXPECT_EQ(program.exit_code, 2) << program.err;
}

}  // namespace
}  // namespace ingot
