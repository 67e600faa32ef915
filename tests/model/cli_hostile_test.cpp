// The command line against numbers that mean nothing and against files whose names are commands to
// a terminal.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"
#include "ingot/printable.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::ProgramResult;
using test::run_ingot;
using Arguments = std::vector<std::string>;

std::string model() {
  return test::test_data("arch/llama.gguf").string();
}

/// A numeric option: how to give it, and the ends of its range as messages have them. Values beyond
/// them and values that are no numbers must be refused by name.
struct NumericOption {
  Arguments command;
  std::string name;
  std::string low;
  std::string high;
  std::vector<std::string> outside;
};

std::vector<NumericOption> numeric_options() {
  const Arguments run = {"run", model(), "-p", "a"};
  const Arguments logits = {"logits", model(), "--tokens", "t", "--out", "o"};
  const Arguments perplexity = {"perplexity", model(), "--file", "f"};
  const Arguments diff = {"diff", model(), "--tokens", "t", "--against", "cpu"};
  const Arguments synth = {"synth", "qwen2.5-coder-0.5b", "o.gguf"};
  const Arguments bench = {"bench", model()};
  const std::string most = "9223372036854775807";
  return {
      {run, "--max-tokens", "-1", "1099511627776", {"-2", "1099511627777"}},
      {run, "--temp", "0", "1e+06", {"-0.1", "1000001"}},
      {run, "--top-k", "0", most, {"-5", "-1", "9223372036854775808"}},
      {run, "--top-p", "0", "1", {"-0.1", "1.01"}},
      {run, "--min-p", "0", "1", {"-1e-9", "2"}},
      {run, "--repeat-penalty", "0.001", "1000", {"0", "-1", "1001"}},
      {run, "--frequency-penalty", "-1000", "1000", {"-1001", "1001"}},
      {run, "--presence-penalty", "-1000", "1000", {"-1001", "1001"}},
      {run, "--repeat-last-n", "-1", most, {"-2", "9223372036854775808"}},
      {run, "--seed", "0", "18446744073709551615", {"-2", "18446744073709551616"}},
      {run, "--ctx", "1", "1099511627776", {"0", "-1"}},
      {run, "--threads", "0", "4096", {"-1", "4097", "4294967296"}},
      {logits, "--threads", "0", "4096", {"-1", "4294967297"}},
      {perplexity, "--ctx", "4", "1073741824", {"3", "-4"}},
      {perplexity, "--windows", "1", "1099511627776", {"0", "-1"}},
      {diff, "--threads", "0", "4096", {"-1"}},
      {synth, "--layers", "1", "1000", {"0", "4294967297"}},
      {synth, "--vocabulary", "1", "16777216", {"0", "4294967297"}},
      {synth, "--experts", "1", "4096", {"0"}},
      {synth, "--seed", "0", "18446744073709551615", {"-2", "18446744073709551616"}},
      {bench, "--repetitions", "1", "1000000", {"0", "4294967297"}},
      {bench, "--n-prompt", "0", "", {"-1"}},
      {bench, "--n-gen", "0", "", {"-1"}},
      {bench, "--n-depth", "0", "", {"-1"}},
      {bench, "--batch-size", "1", "", {"0"}},
      {bench, "--ubatch-size", "1", "", {"0"}},
      {bench, "--sequences", "1", "", {"0"}},
      {bench, "--threads", "0", "", {"-1"}},
  };
}

TEST(CliNumbers, WhatIsNoNumberOfTheRangeIsBadUsageThatNamesOptionAndRange) {
  const std::vector<std::string> never = {"nan",
                                          "inf",
                                          "-inf",
                                          "1e999",
                                          "-1e999",
                                          "99999999999999999999999999",
                                          "-99999999999999999999",
                                          "many",
                                          "",
                                          " 1",
                                          "1 ",
                                          "1x",
                                          "0x10",
                                          "1,,2",
                                          "+"};
  for (const NumericOption& option : numeric_options()) {
    std::vector<std::string> values = never;
    values.insert(values.end(), option.outside.begin(), option.outside.end());
    for (const std::string& value : values) {
      Arguments arguments = option.command;
      arguments.insert(arguments.end(), {option.name, value});
      const ProgramResult result = run_ingot(arguments);
      const std::string shown = testing::PrintToString(arguments) + ": " + result.err;
      EXPECT_EQ(result.exit_code, 2) << shown;
      EXPECT_EQ(result.error_lines(), 1U) << shown;
      EXPECT_EQ(result.out, "") << shown;
      EXPECT_NE(result.err.find(option.name), std::string::npos) << shown;
      EXPECT_NE(result.err.find("from " + option.low + " to " + option.high), std::string::npos)
          << shown;
    }
  }
}

TEST(CliNumbers, TheEndsOfARangeAreInIt) {
  const Arguments run = {"run", model(), "-p", "a", "-n", "1", "--ctx", "32"};
  for (const auto& [name, values] : std::vector<std::pair<std::string, Arguments>>{
           {"--temp", {"0", "1e6", "0.5", "1E-3"}},
           {"--top-k", {"0", "1", "9223372036854775807"}},
           {"--top-p", {"0", "1"}},
           {"--min-p", {"0", "1"}},
           {"--repeat-penalty", {"0.001", "1000"}},
           {"--frequency-penalty", {"-1000", "1000"}},
           {"--repeat-last-n", {"-1", "0", "9223372036854775807"}},
           {"--seed", {"0", "18446744073709551615", "-1"}},
           {"--max-tokens", {"0", "-1"}}}) {
    for (const std::string& value : values) {
      Arguments arguments = run;
      if (name == "--max-tokens") arguments.erase(arguments.begin() + 4, arguments.begin() + 6);
      arguments.insert(arguments.end(), {name, value});
      const ProgramResult result = run_ingot(arguments);
      EXPECT_EQ(result.exit_code, 0) << name << ' ' << value << ": " << result.err;
    }
  }
  const ProgramResult largest =
      run_ingot({"run", model(), "-p", "a", "-n", "1", "--seed", "18446744073709551615"});
  EXPECT_NE(largest.err.find("seed 18446744073709551615)"), std::string::npos) << largest.err;
}

// ---- names --------------------------------------------------------------------------------------

const std::string kEvil = "evil\x1b[2J\x1b]0;pwn\x07\nforged line\x7f\u009b31m\u202e\x9b";

/// A model that runs, with kEvil wherever a file may have a name of its author's choice.
std::string evil_model(const test::ScratchFolder& folder) {
  const auto file = GgufFile::open(model());
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  writer.set("general.name", kEvil);
  writer.set("x." + kEvil, kEvil);
  writer.set("x.list", std::vector<std::string>{kEvil, kEvil});
  auto tokens = file->get<std::vector<std::string>>("tokenizer.ggml.tokens");
  const auto eos = file->get<std::int64_t>("tokenizer.ggml.eos_token_id");
  tokens.at(static_cast<std::size_t>(eos)) = kEvil;
  writer.set("tokenizer.ggml.tokens", tokens);
  for (const GgufTensor& tensor : file->tensors()) writer.add_tensor(tensor);
  const auto path = folder / "evil.gguf";
  writer.write(path);
  return path.string();
}

/// The same with more changes, as bytes on disk.
std::string changed(const test::ScratchFolder& folder, const std::string& from,
                    const std::string& name, const std::function<void(GgufWriter&)>& change) {
  const auto file = GgufFile::open(from);
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) writer.add_tensor(tensor);
  change(writer);
  writer.write(folder / name);
  return (folder / name).string();
}

/// Nothing in it that a terminal acts on but line ends.
void expect_tame(const std::string& text, const std::string& what) {
  EXPECT_EQ(printable_lines(text), text) << what;
  EXPECT_EQ(text.find("\nforged"), std::string::npos) << what << ": " << text;
}

TEST(CliNames, OfAFileReachNoTerminal) {
  const test::ScratchFolder folder;
  const std::string evil = evil_model(folder);
  const std::vector<std::int32_t> ids = {1, 2, 3};
  const std::string tokens = folder.file("tokens.i32", std::as_bytes(std::span(ids))).string();
  for (const Arguments& arguments : std::vector<Arguments>{
           {"inspect", evil},
           {"inspect", evil, "--json"},
           {"inspect", evil, "--program"},
           {"bench", evil, "-p", "4", "-n", "2", "-r", "1"},
           {"bench", evil, "-p", "4", "-n", "0", "-r", "1", "--json"},
           {"diff", evil, "--tokens", tokens, "--against", "reference", "--all"}}) {
    const ProgramResult result = run_ingot(arguments);
    const std::string shown = testing::PrintToString(arguments);
    EXPECT_EQ(result.exit_code, 0) << shown << result.err;
    expect_tame(result.out, shown);
    expect_tame(result.err, shown);
  }
  const ProgramResult summary = run_ingot({"inspect", evil});
  EXPECT_NE(summary.out.find("evil\\x1b[2J\\x1b]0;pwn\\x07\\x0aforged line\\x7f\\u{009b}31m"),
            std::string::npos)
      << summary.out;
  expect_tame(run_ingot({"run", evil, "-p", "a", "-n", "1"}).err, "run");
}

TEST(CliNames, StayValidJson) {
  const test::ScratchFolder folder;
  const auto json = nlohmann::json::parse(run_ingot({"inspect", evil_model(folder), "--json"}).out);
  // The last byte is no UTF-8.
  const std::string expected = kEvil.substr(0, kEvil.size() - 1) + "\uFFFD";
  EXPECT_EQ(json.at("metadata").at("general.name"), expected);
  EXPECT_EQ(json.at("metadata").at("x." + expected), expected);
  EXPECT_EQ(json.at("model").at("name"), expected);
}

// Errors about such files, from each place that reads names.
TEST(CliNames, InErrorsStayOnOneTameLine) {
  const test::ScratchFolder folder;
  const std::string good = model();
  const std::string evil_path = (folder / ("no\x1b[31m\nforged.gguf")).string();
  const std::vector<Arguments> failing = {
      {"inspect", evil_path},
      {"tokenize", evil_path, "--file", "-"},
      {"dequantize", good, "--tensor", kEvil, "--out", (folder / "x").string()},
      {"run",
       changed(folder, good, "a", [](GgufWriter& w) { w.set("general.architecture", kEvil); }),
       "-p", "a"},
      {"run", changed(folder, good, "b", [](GgufWriter& w) { w.set("tokenizer.ggml.pre", kEvil); }),
       "-p", "a"},
      {"run",
       changed(folder, good, "c", [](GgufWriter& w) { w.set("tokenizer.ggml.model", kEvil); }),
       "-p", "a"},
      {"run",
       changed(folder, good, "d", [](GgufWriter& w) { w.set("llama.rope.scaling.type", kEvil); }),
       "-p", "a"},
      {"run",
       changed(folder, good, "e",
               [](GgufWriter& w) {
                 w.set("tokenizer.ggml.merges", std::vector<std::string>{kEvil + " a"});
               }),
       "-p", "a"},
      {"run",
       changed(folder, good, "f",
               [](GgufWriter& w) {
                 const std::vector<float> values(8);
                 w.add_tensor("blk.0." + kEvil, DType::F32, {8}, std::as_bytes(std::span(values)));
               }),
       "-p", "a"},
      {"run", good, "-p", "a", "--device", kEvil},
      {"run", good, "-p", "a", "--top-k", kEvil},
      {"run", good, "-p", "a", "--" + kEvil},
      {kEvil},
  };
  for (const Arguments& arguments : failing) {
    const ProgramResult result = run_ingot(arguments);
    const std::string shown = testing::PrintToString(arguments);
    EXPECT_NE(result.exit_code, 0) << shown;
    EXPECT_LT(result.exit_code, 3) << shown;
    // The tokenizer is read after the line about loading.
    const std::string message =
        result.err.substr(result.err.starts_with("load ") ? result.err.find('\n') + 1 : 0);
    EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 1) << shown << result.err;
    EXPECT_TRUE(message.starts_with("ingot: ")) << shown << result.err;
    EXPECT_EQ(result.out, "") << shown;
    expect_tame(result.err, shown);
  }
}

TEST(CliNames, OfTheFixtureReachNoTerminal) {
  const auto path = test::fixtures() / "faults" / "escape_in_name.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const ProgramResult summary = run_ingot({"inspect", path.string()});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  expect_tame(summary.out, "summary");
  EXPECT_NE(summary.out.find("evil\\x1b[2J"), std::string::npos) << summary.out;
  const ProgramResult json = run_ingot({"inspect", path.string(), "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out).at("metadata").at("x.\x1b[31mkey"), "v\x1b[5m\nvv");
  expect_tame(json.out, "JSON");
}

}  // namespace
}  // namespace ingot
