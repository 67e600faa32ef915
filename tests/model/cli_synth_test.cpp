// ingot synth: files with random weights must have the shapes, types and sizes of published ones,
// or what is measured with them says nothing about the real models.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::ProgramResult;
using test::run_ingot;
using test::ScratchFolder;
using Arguments = std::vector<std::string>;

/// Writes a model of one layer and few tokens and opens it; `more` may override both.
std::shared_ptr<const GgufFile> synth(const ScratchFolder& folder, const std::string& shape,
                                      const std::string& type, const Arguments& more = {}) {
  const std::string path = (folder / "model.gguf").string();
  Arguments arguments = {"synth", shape, path, "--type", type};
  if (more.empty()) arguments.insert(arguments.end(), {"--layers", "1", "--vocabulary", "512"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProgramResult result = run_ingot(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  return GgufFile::open(path);
}

std::map<std::string, std::string> types(const GgufFile& file) {
  std::map<std::string, std::string> found;
  for (const GgufTensor& tensor : file.tensors()) {
    found[tensor.name] = std::string(to_string(tensor.dtype().value()));
  }
  return found;
}

void expect_failure(const Arguments& arguments, int code, const std::string& part) {
  const ProgramResult result = run_ingot(arguments);
  const std::string shown = ::testing::PrintToString(arguments);
  EXPECT_EQ(result.exit_code, code) << shown << ": " << result.err;
  EXPECT_EQ(result.error_lines(), 1U) << shown << ": " << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << shown << ": " << result.err;
}

/// The row that --list prints of a shape, split at spaces.
Arguments listed(const std::string& list, const std::string& shape) {
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Arguments row;
    for (std::string word; words >> word;) row.push_back(word);
    if (!row.empty() && row[0] == shape) return row;
  }
  ADD_FAILURE() << "no row of " << shape;
  return Arguments(10);
}

// Broken: a size of a shape is wrong. The counts are those that the publishers' safetensors have.
TEST(CliSynth, ShapesHaveThePublishedParameterCounts) {
  const ProgramResult result = run_ingot({"synth", "--list"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::map<std::string, std::string> published = {{"qwen2.5-coder-0.5b", "494032768"},
                                                        {"qwen2.5-coder-1.5b", "1543714304"},
                                                        {"qwen2.5-coder-3b", "3085938688"},
                                                        {"qwen2.5-coder-7b", "7615616512"},
                                                        {"qwen2.5-coder-14b", "14770033664"},
                                                        {"qwen2.5-coder-32b", "32763876352"},
                                                        {"llama-3.1-8b", "8030261248"},
                                                        {"llama-3.1-70b", "70553706496"},
                                                        {"deepseek-coder-1.3b", "1346471936"},
                                                        {"deepseek-coder-6.7b", "6740512768"},
                                                        {"deepseek-coder-33b", "33342991360"},
                                                        {"codellama-7b", "6738546688"},
                                                        {"codellama-13b", "13016028160"},
                                                        {"codellama-34b", "33743970304"},
                                                        {"codestral-22b", "22247282688"},
                                                        {"mixtral-8x7b", "46702792704"},
                                                        {"qwen3-0.6b", "596049920"},
                                                        {"qwen3-1.7b", "1720574976"},
                                                        {"qwen3-4b", "4022468096"},
                                                        {"qwen3-8b", "8190735360"},
                                                        {"qwen3-14b", "14768307200"},
                                                        {"qwen3-32b", "32762123264"},
                                                        {"qwen3-coder-30b-a3b", "30532122624"},
                                                        {"qwen1.5-moe-a2.7b", "14315784192"},
                                                        {"deepseek-coder-v2-lite", "15706484224"},
                                                        {"gpt-oss-20b", "20914757184"},
                                                        {"gpt-oss-120b", "116829156672"},
                                                        {"starcoder2-3b", "3030371328"},
                                                        {"starcoder2-7b", "7173923840"},
                                                        {"starcoder2-15b", "15957889024"},
                                                        {"olmo3-7b", "7298011136"}};
  for (const auto& [shape, parameters] : published) {
    EXPECT_EQ(listed(result.out, shape).at(4), parameters) << shape;
  }
  // Billions a token uses, as publishers round them; gpt-oss counts without the embedding table.
  const std::map<std::string, double> active = {{"qwen2.5-coder-1.5b", 1.54},
                                                {"mixtral-8x7b", 12.9},
                                                {"qwen3-coder-30b-a3b", 3.3},
                                                {"qwen1.5-moe-a2.7b", 2.7},
                                                {"gpt-oss-20b", 3.61 + 201088 * 2880 / 1e9}};
  for (const auto& [shape, billions] : active) {
    EXPECT_NEAR(std::stod(listed(result.out, shape).at(5)) / 1e9, billions, 0.06) << shape;
  }
}

// Broken: a mix or a fallback differs from what llama.cpp writes. Rows of 896 are no multiple of
// 256.
TEST(CliSynth, ShortRowsFallBackToSmallerBlocks) {
  const ScratchFolder folder;
  const auto file = synth(folder, "qwen2.5-coder-0.5b", "Q4_K_M");
  const std::map<std::string, std::string> expected = {
      {"token_embd.weight", "Q8_0"},        {"output_norm.weight", "F32"},
      {"blk.0.attn_norm.weight", "F32"},    {"blk.0.ffn_norm.weight", "F32"},
      {"blk.0.attn_q.weight", "Q5_0"},      {"blk.0.attn_q.bias", "F32"},
      {"blk.0.attn_k.weight", "Q5_0"},      {"blk.0.attn_k.bias", "F32"},
      {"blk.0.attn_v.weight", "Q8_0"},      {"blk.0.attn_v.bias", "F32"},
      {"blk.0.attn_output.weight", "Q5_0"}, {"blk.0.ffn_gate.weight", "Q5_0"},
      {"blk.0.ffn_up.weight", "Q5_0"},      {"blk.0.ffn_down.weight", "Q6_K"}};
  EXPECT_EQ(types(*file), expected);
  EXPECT_EQ(file->get<std::int64_t>("general.file_type"), 15);
  EXPECT_EQ(types(*synth(folder, "qwen2.5-coder-0.5b", "Q5_K_M")).at("blk.0.attn_q.weight"),
            "Q5_1");
  EXPECT_EQ(types(*synth(folder, "qwen2.5-coder-0.5b", "Q3_K_S")).at("blk.0.attn_q.weight"),
            "IQ4_NL");
}

// Broken: a tied table, a head of its own, or rows that do divide get other types than llama.cpp's.
TEST(CliSynth, TheHeadHasMoreBits) {
  const ScratchFolder folder;
  auto tied = types(*synth(folder, "qwen2.5-coder-1.5b", "q4_k_m"));
  EXPECT_EQ(tied.count("output.weight"), 0U);
  EXPECT_EQ(tied["token_embd.weight"], "Q6_K");
  EXPECT_EQ(tied["blk.0.attn_q.weight"], "Q4_K");
  EXPECT_EQ(tied["blk.0.attn_v.weight"], "Q6_K");
  auto untied = types(*synth(folder, "deepseek-coder-1.3b", "Q4_K_M"));
  EXPECT_EQ(untied["output.weight"], "Q6_K");
  EXPECT_EQ(untied["token_embd.weight"], "Q4_K");
  EXPECT_EQ(untied["blk.0.ffn_down.weight"], "Q8_0");  // rows of 5504, where Q6_K is wanted
  EXPECT_EQ(types(*synth(folder, "deepseek-coder-1.3b", "Q4_0")).at("output.weight"), "Q6_K");
  for (const auto& [name, type] : types(*synth(folder, "deepseek-coder-1.3b", "Q8_0"))) {
    EXPECT_EQ(type, name.find("norm") == std::string::npos ? "Q8_0" : "F32") << name;
  }
}

// Broken: other layers than llama.cpp's get more bits. Of 8: the first and last eighth, then every
// third.
TEST(CliSynth, SomeLayersHaveMoreBits) {
  const ScratchFolder folder;
  const std::set<int> more = {0, 3, 6, 7};
  auto found = types(
      *synth(folder, "qwen2.5-coder-0.5b", "Q4_K_M", {"--layers", "8", "--vocabulary", "512"}));
  for (int layer = 0; layer < 8; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    EXPECT_EQ(found[block + "ffn_down.weight"], more.count(layer) != 0 ? "Q6_K" : "Q4_K") << layer;
    EXPECT_EQ(found[block + "attn_v.weight"], more.count(layer) != 0 ? "Q8_0" : "Q5_0") << layer;
  }
}

// Broken: experts or what stays beside them get other types than llama.cpp's, or other shapes.
TEST(CliSynth, ExpertsAreOfTheMixAndRoutersAreNot) {
  const ScratchFolder folder;
  const Arguments small = {"--layers", "1", "--vocabulary", "512", "--experts", "9"};
  auto found = types(*synth(folder, "qwen3-coder-30b-a3b", "Q4_K_M", small));
  EXPECT_EQ(found["blk.0.ffn_gate_inp.weight"], "F32");
  EXPECT_EQ(found["blk.0.ffn_gate_exps.weight"], "Q4_K");
  EXPECT_EQ(found["blk.0.ffn_up_exps.weight"], "Q4_K");
  EXPECT_EQ(found["blk.0.ffn_down_exps.weight"], "Q6_K");
  EXPECT_EQ(found["blk.0.attn_k.weight"], "Q4_K");
  const auto file = synth(folder, "qwen3-coder-30b-a3b", "Q4_K_M", small);
  EXPECT_EQ(file->tensor("blk.0.ffn_down_exps.weight").shape,
            (std::vector<std::int64_t>{768, 2048, 9}));
  // Rows of 1408 are no multiple of 256.
  found = types(*synth(folder, "qwen1.5-moe-a2.7b", "Q4_K_M", small));
  EXPECT_EQ(found["blk.0.ffn_down_exps.weight"], "Q8_0");
  EXPECT_EQ(found["blk.0.ffn_down_shexp.weight"], "Q6_K");
  EXPECT_EQ(found["blk.0.ffn_gate_inp_shexp.weight"], "F32");
  found = types(*synth(folder, "gpt-oss-20b", "MXFP4", small));
  EXPECT_EQ(found["blk.0.ffn_down_exps.weight"], "MXFP4");
  EXPECT_EQ(found["blk.0.ffn_down_exps.bias"], "F32");
  EXPECT_EQ(found["blk.0.attn_q.weight"], "Q8_0");
  EXPECT_EQ(found["token_embd.weight"], "Q8_0");
  EXPECT_EQ(found["blk.0.attn_sinks.weight"], "F32");
  // One dense layer, shared experts without a gate, kv_b in one piece.
  const Arguments two = {"--layers", "2", "--vocabulary", "512", "--experts", "9"};
  const auto latent = synth(folder, "deepseek-coder-v2-lite", "Q4_K_M", two);
  EXPECT_EQ(latent->tensor("blk.0.ffn_up.weight").shape, (std::vector<std::int64_t>{2048, 10944}));
  EXPECT_EQ(latent->tensor("blk.1.attn_kv_b.weight").shape, (std::vector<std::int64_t>{512, 4096}));
  EXPECT_EQ(latent->find_tensor("blk.1.ffn_gate_inp_shexp.weight"), nullptr);
  // With eight experts, few keys and values beside them: more bits for those.
  const Arguments eight = {"--layers", "1", "--vocabulary", "512", "--experts", "8"};
  found = types(*synth(folder, "qwen3-coder-30b-a3b", "Q4_K_M", eight));
  EXPECT_EQ(found["blk.0.attn_k.weight"], "Q8_0");
  EXPECT_EQ(found["blk.0.attn_v.weight"], "Q8_0");
  EXPECT_EQ(found["blk.0.attn_output.weight"], "Q5_K");
}

// Broken: weights of some type have the wrong scale, so that activations grow or vanish. The
// coarsest encoders change the deviation by a few per cent; means are off by five of their own
// deviations at most, 1 / sqrt(3584) of a weight's for blocks of 32 whose codes share a sign.
TEST(CliSynth, WeightsOfEveryTypeAreScaled) {
  const ScratchFolder folder;
  for (const std::string type :
       {"Q4_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_M",
        "Q3_K_L", "IQ4_NL", "IQ4_XS", "MXFP4", "F16", "BF16", "F32"}) {
    const auto file = synth(folder, "qwen2.5-coder-0.5b", type);
    for (const GgufTensor& tensor : file->tensors()) {
      if (tensor.shape.size() < 2) continue;
      std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
      dequantize(*tensor.dtype(), tensor.data, values);
      double sum = 0;
      double squares = 0;
      for (const float x : values) {
        sum += static_cast<double>(x);
        squares += static_cast<double>(x) * static_cast<double>(x);
      }
      const auto count = static_cast<double>(values.size());
      const double unit = std::sqrt(static_cast<double>(tensor.columns()));
      EXPECT_NEAR(std::sqrt(squares / count) * unit, 1, 0.1) << type << " " << tensor.name;
      EXPECT_NEAR(sum / count * unit, 0, 5 / std::sqrt(3584.0)) << type << " " << tensor.name;
    }
  }
}

// Broken: a file cannot be run, or its numbers are not finite, or the fast path reads other
// weights. Rows of the head have variance 1 / hidden, so logits have variance 1.
TEST(CliSynth, LogitsAreFiniteAndTheSameOnBothDevices) {
  const ScratchFolder folder;
  const std::string path = (folder / "model.gguf").string();
  const std::string tokens = test::test_data("arch/tokens.i32").string();  // ids below 512
  const Arguments small = {"--layers", "2", "--vocabulary", "512"};
  Arguments experts = small;
  experts.insert(experts.end(), {"--experts", "9"});
  const std::vector<std::tuple<std::string, std::string, Arguments>> models = {
      {"qwen2.5-coder-0.5b", "Q4_K_M", small},
      {"deepseek-coder-1.3b", "Q4_K_M", small},
      {"qwen3-0.6b", "Q4_K_M", small},
      {"starcoder2-3b", "Q4_K_M", {"--layers", "1", "--vocabulary", "512"}},
      {"olmo3-7b", "Q4_0", {"--layers", "1", "--vocabulary", "512"}},
      {"qwen3-coder-30b-a3b", "Q4_K_M", experts},
      {"qwen1.5-moe-a2.7b", "Q5_K_M", experts},
      {"deepseek-coder-v2-lite", "Q4_K_M", experts},
      {"gpt-oss-20b", "MXFP4", {"--layers", "1", "--vocabulary", "512", "--experts", "5"}}};
  for (const auto& [shape, type, arguments] : models) {
    synth(folder, shape, type, arguments);
    const ProgramResult same =
        run_ingot({"diff", path, "--tokens", tokens, "--device", "cpu", "--against", "reference"});
    EXPECT_EQ(same.exit_code, 0) << same.out << same.err;
    if (shape == "deepseek-coder-v2-lite") {
      // Over an f16 cache, prompts on matrix units expand the latents.
      const ProgramResult half = run_ingot({"diff", path, "--tokens", tokens, "--device", "cpu",
                                            "--against", "reference", "--cache-type-k", "f16"});
      EXPECT_EQ(half.exit_code, 0) << half.out << half.err;
    }
    const std::string out = (folder / "out.f32").string();
    const ProgramResult result = run_ingot({"logits", path, "--tokens", tokens, "--out", out});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto logits = test::read_array<float>(out);
    ASSERT_EQ(logits.size(), test::golden_tokens().size() * 512);
    double squares = 0;
    for (const float x : logits) squares += static_cast<double>(x) * static_cast<double>(x);
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(logits.size())), 1, 0.2) << shape;
  }
}

// Broken: the made-up vocabulary cannot spell a text, or lacks the family's marks.
TEST(CliSynth, TheVocabularySpellsAnyTextAndFillsIn) {
  const ScratchFolder folder;
  const std::string text = "def add(a, b):\n\treturn a + b  # \xC3\xA9\xE2\x82\xAC \x01\n";
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  const std::string prompt = folder.file("prompt.txt", bytes).string();
  for (const std::string shape : {"qwen2.5-coder-0.5b", "deepseek-coder-1.3b"}) {
    // 256 bytes, 676 pairs, 676 with a space, and some joins of pairs.
    const auto file = synth(folder, shape, "Q4_0", {"--layers", "1", "--vocabulary", "4096"});
    const std::string path = (folder / "model.gguf").string();
    EXPECT_EQ(file->tensor("token_embd.weight").rows(), 4096);
    const ProgramResult ids = run_ingot({"tokenize", path, "--file", prompt, "--no-bos"});
    ASSERT_EQ(ids.exit_code, 0) << ids.err;
    const auto id_bytes = std::as_bytes(std::span(ids.out.data(), ids.out.size()));
    const ProgramResult back = run_ingot(
        {"tokenize", path, "--file", folder.file("ids.txt", id_bytes).string(), "--decode"});
    EXPECT_EQ(back.out, text) << ids.out;
    const ProgramResult fill =
        run_ingot({"run", path, "--fim-prefix", prompt, "--fim-suffix", prompt, "-n", "3"});
    EXPECT_EQ(fill.exit_code, 0) << fill.err;
  }
}

TEST(CliSynth, TheSeedDecidesTheWeights) {
  const ScratchFolder folder;
  const auto weights = [&](const std::string& seed) {
    const auto file = synth(folder, "qwen2.5-coder-0.5b", "Q4_K_M",
                            {"--layers", "1", "--vocabulary", "512", "--seed", seed});
    std::vector<std::byte> bytes;
    for (const GgufTensor& tensor : file->tensors()) {
      bytes.insert(bytes.end(), tensor.data.begin(), tensor.data.end());
    }
    return bytes;
  };
  const auto first = weights("7");
  EXPECT_EQ(first, weights("7"));
  EXPECT_NE(first, weights("8"));
}

TEST(CliSynth, BadRequestsNameWhatThereIs) {
  const ScratchFolder folder;
  const std::string out = (folder / "model.gguf").string();
  expect_failure({"synth", "gpt-5", out}, 2, "qwen2.5-coder-1.5b, qwen2.5-coder-3b");
  expect_failure({"synth", "qwen2.5-coder-0.5b", out, "--type", "Q9"}, 2, "Q4_K_M|Q4_K_S");
  expect_failure({"synth", "qwen2.5-coder-0.5b"}, 2, "OUT");
  expect_failure({"synth", "qwen2.5-coder-0.5b", out, "--layers", "0"}, 2, "--layers");
  expect_failure({"synth", "qwen2.5-coder-0.5b", out, "--vocabulary", "100"}, 2, "at least 265");
  expect_failure({"synth", "qwen2.5-coder-0.5b", "/dev/full", "--layers", "1"}, 1, "/dev/full");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Broken: a full disk goes unnoticed, or half a model stays. A limit on file sizes stands in for
// it.
TEST(CliSynth, AFullDiskLeavesNoFile) {
  const ScratchFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 3000000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_failure({"synth", "qwen2.5-coder-0.5b", (folder / "model.gguf").string(), "--layers", "1",
                  "--vocabulary", "512"},
                 1, "free space");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace ingot
