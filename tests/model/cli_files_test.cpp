// The contracts of the commands that read and write files: logits, diff, tokenize, dequantize,
// inspect, quantize. Scripts compare engines with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "ingot/tokenizer.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/fixtures.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::ProgramResult;
using test::read_array;
using test::run_ingot;
using test::ScratchFolder;
using Arguments = std::vector<std::string>;

std::string arch(const std::string& name) {
  return test::test_data("arch/" + name).string();
}

std::string nano() {
  return (std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf")
      .string();
}

template <class T>
std::string write(const ScratchFolder& folder, const std::string& name,
                  const std::vector<T>& data) {
  return folder.file(name, std::as_bytes(std::span(data))).string();
}

std::string write_text(const ScratchFolder& folder, const std::string& name,
                       const std::string& text) {
  return write(folder, name, std::vector<char>(text.begin(), text.end()));
}

void expect_failure(const Arguments& arguments, int code, const std::string& part) {
  const ProgramResult result = run_ingot(arguments);
  const std::string shown = ::testing::PrintToString(arguments);
  EXPECT_EQ(result.exit_code, code) << shown << ": " << result.err;
  EXPECT_EQ(result.error_lines(), 1U) << shown << ": " << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << shown << ": " << result.err;
}

/// Names in a folder, to see that nothing is left behind.
std::vector<std::string> names(const ScratchFolder& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    found.push_back(entry.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// ---- logits -------------------------------------------------------------------------------------

TEST(CliLogits, WritesTheGoldenLogits) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.f32").string();
  const std::map<std::string, double> bounds = {{"reference", 1e-5}, {"cpu", 1e-4}};
  for (const auto& [device, bound] : bounds) {
    for (const Arguments& more :
         std::vector<Arguments>{{}, {"--chunk", "7"}, {"--chunk", "1000"}}) {
      Arguments arguments = {"logits", arch("qwen2.gguf"), "--tokens", arch("tokens.i32"), "--out",
                             out,      "--device",         device};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const ProgramResult result = run_ingot(arguments);
      ASSERT_EQ(result.exit_code, 0) << result.err;
      EXPECT_EQ(result.out, "");
      const auto error =
          test::relative_error(read_array<float>(out), test::golden_logits("qwen2"), 512);
      EXPECT_LE(error.worst_row, bound) << device;
    }
  }
}

TEST(CliLogits, TheCacheTypesAreThoseAskedFor) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.f32").string();
  for (const std::string model : {"llama", "llama-linear-rope", "llama3-rope-factors", "qwen2"}) {
    const auto error = [&](const std::string& device, const Arguments& more) {
      Arguments arguments = {
          "logits", arch(model + ".gguf"), "--tokens", arch("tokens.i32"), "--out", out, "--device",
          device};
      arguments.insert(arguments.end(), more.begin(), more.end());
      EXPECT_EQ(run_ingot(arguments).exit_code, 0);
      return test::relative_error(read_array<float>(out), test::golden_logits(model), 512);
    };
    for (const std::string& device : test::test_device_names()) {
      SCOPED_TRACE(model + " on " + device);
      const auto f32 = error(device, {});
      const auto f16 = error(device, {"--cache-type-k", "f16", "--cache-type-v", "f16"});
      const auto keys = error(device, {"--cache-type-k", "f16"});
      const auto q8 = error(device, {"--cache-type-k", "q8_0", "--cache-type-v", "q8_0"});
      const auto chunks =
          error(device, {"--cache-type-k", "q8_0", "--cache-type-v", "q8_0", "--chunk", "7"});
      EXPECT_LE(f32.worst_row, device == "cpu" ? 1e-4 : 1e-5);
      EXPECT_LE(f16.worst_row, 2e-3);
      EXPECT_LE(q8.worst_row, 2e-2);
      EXPECT_LE(chunks.worst_row, 2e-2);
      // Each rounds more than the one before: the option reached the cache.
      EXPECT_LT(f32.whole, keys.whole);
      EXPECT_LT(keys.whole, f16.whole);
      EXPECT_LT(f16.whole, q8.whole);
    }
  }
}

// On weights of integers, whose products round activations unless told otherwise.
TEST(CliLogits, PrecisionAndDeterminismAreAsAskedFor) {
  const ScratchFolder folder;
  const std::string model =
      (std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf").string();
  const auto logits = [&](const Arguments& more) {
    const std::string out = (folder / "out.f32").string();
    Arguments arguments = {"logits", model, "--tokens", arch("tokens.i32"), "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read_array<float>(out);
  };
  const auto truth = logits({"--device", "reference"});
  const auto error = [&](const Arguments& more) {
    return test::relative_error(logits(more), truth, truth.size() / 48).worst_row;
  };
  EXPECT_LE(error({"--precision", "f32"}), 1e-5);
  EXPECT_GT(error({"--precision", "fast"}), 1e-5) << "this model shows nothing";
  EXPECT_EQ(logits({"--deterministic"}), logits({"--deterministic", "--chunk", "1"}));
  EXPECT_NE(logits({}), logits({"--chunk", "1"})) << "this model shows nothing";
  expect_failure({"logits", model, "--tokens", "a", "--out", "b", "--precision", "f16"}, 2,
                 "--precision");
}

TEST(CliLogits, PairsAreOneBatchOfIndependentSequences) {
  const ScratchFolder folder;
  const std::vector<TokenId> tokens = test::golden_tokens();
  // Another sequence, and one that ends early.
  const std::vector<TokenId> reversed(tokens.rbegin(), tokens.rend());
  const std::vector<TokenId> brief(tokens.begin(), tokens.begin() + 11);
  const std::vector<std::string> ins = {arch("tokens.i32"), write(folder, "b.i32", reversed),
                                        write(folder, "c.i32", brief)};
  Arguments together = {"logits", arch("llama.gguf"), "--chunk", "5"};
  for (std::size_t i = 0; i < ins.size(); ++i) {
    const std::string number = std::to_string(i);
    together.insert(together.end(),
                    {"--tokens", ins[i], "--out", (folder / (number + ".f32")).string()});
    ASSERT_EQ(run_ingot({"logits", arch("llama.gguf"), "--tokens", ins[i], "--out",
                         (folder / (number + ".alone")).string()})
                  .exit_code,
              0);
  }
  const ProgramResult result = run_ingot(together);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (std::size_t i = 0; i < ins.size(); ++i) {
    const auto batch = read_array<float>(folder / (std::to_string(i) + ".f32"));
    const auto alone = read_array<float>(folder / (std::to_string(i) + ".alone"));
    EXPECT_LE(test::relative_error(batch, alone, 512).worst_row, 1e-4) << i;
  }
  EXPECT_EQ(read_array<float>(folder / "2.f32").size(), 11U * 512U);
}

TEST(CliLogits, MismatchedPairsAreBadUsage) {
  const std::string model = arch("llama.gguf");
  const std::string tokens = arch("tokens.i32");
  expect_failure({"logits", model, "--tokens", tokens}, 2, "--out");
  expect_failure({"logits", model, "--tokens", tokens, "--out", "a", "--tokens", tokens}, 2,
                 "pairs");
  expect_failure(
      {"logits", model, "--tokens", tokens, "--out", "a", "--tokens", tokens, "--out", "a"}, 2,
      "same");
  expect_failure({"logits", model, "--tokens", tokens, "--out", "a", "--chunk", "0"}, 2, "--chunk");
}

TEST(CliLogits, BadFilesAreFailuresThatLeaveNothingBehind) {
  const ScratchFolder folder;
  const std::string model = arch("llama.gguf");
  const std::string out = (folder / "out.f32").string();
  const auto with = [&](const std::string& tokens, const std::string& to) {
    return Arguments{"logits", model, "--tokens", tokens, "--out", to};
  };
  const std::string high = write(folder, "high.i32", std::vector<TokenId>{1, 2, 512});
  const std::string negative = write(folder, "negative.i32", std::vector<TokenId>{1, -1});
  const std::string odd = write(folder, "odd.i32", std::vector<char>{1, 2, 3, 4, 5});
  const std::string empty = write(folder, "empty.i32", std::vector<TokenId>{});
  // More tokens than the model has positions.
  const std::string many = write(folder, "many.i32", std::vector<TokenId>(5000, 1));
  const std::vector<std::string> before = names(folder);
  expect_failure(with(high, out), 1, "512 at place 2");
  expect_failure(with(negative, out), 1, "-1 at place 1");
  expect_failure(with(odd, out), 1, "5 bytes");
  expect_failure(with(empty, out), 1, "no token ids");
  expect_failure(with(many, out), 1, "5000");
  expect_failure(with((folder / "absent").string(), out), 1, "absent");
  expect_failure(with(arch("tokens.i32"), "/dev/full"), 1, "/dev/full");
  expect_failure(with(arch("tokens.i32"), (folder / "no/such/folder").string()), 1, "no/such");
  expect_failure(with(arch("tokens.i32"), folder.path().string()), 1, "folder");
  EXPECT_EQ(names(folder), before);
}

TEST(CliLogits, OutputMayBeAPipeOrALink) {
  const ScratchFolder folder;
  const ProgramResult piped = run_ingot(
      {"logits", arch("llama.gguf"), "--tokens", arch("tokens.i32"), "--out", "/dev/stdout"});
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(piped.out.size(), 48U * 512U * sizeof(float));
  write(folder, "target.f32", std::vector<float>{1});
  std::filesystem::create_symlink("target.f32", folder / "link.f32");
  ASSERT_EQ(run_ingot({"logits", arch("llama.gguf"), "--tokens", arch("tokens.i32"), "--out",
                       (folder / "link.f32").string()})
                .exit_code,
            0);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.f32"));
  EXPECT_EQ(read_array<float>(folder / "target.f32").size(), 48U * 512U);
}

// ---- diff ---------------------------------------------------------------------------------------

TEST(CliDiff, CpuIsWithinItsBoundsOfTheReference) {
  for (const char* model : {"llama.gguf", "qwen2.gguf"}) {
    const ProgramResult result = run_ingot({"diff", arch(model), "--tokens", arch("tokens.i32"),
                                            "--device", "cpu", "--against", "reference", "--all"});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_NE(result.out.find("first beyond: none"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("worst: instruction "), std::string::npos) << result.out;
    EXPECT_GT(std::count(result.out.begin(), result.out.end(), '\n'), 30) << "--all lists values";
  }
  expect_failure({"diff", arch("llama.gguf"), "--tokens", arch("tokens.i32"), "--device", "cpu"}, 2,
                 "--against");
}

// ---- tokenize -----------------------------------------------------------------------------------

const std::string kCode =
    "def f(x):\n\treturn x + 1  # caf\u00E9 \U0001F600\n<|endoftext|> 0x1F 12345\n";

TEST(CliTokenize, PrintsTheIdsAndTheirTextBack) {
  const ScratchFolder folder;
  const std::string file = write_text(folder, "code.py", kCode);
  const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(nano()));
  for (const bool special : {true, false}) {
    Arguments arguments = {"tokenize", nano(), "--file", file, "--no-bos"};
    if (!special) arguments.push_back("--no-special");
    const ProgramResult result = run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::string expected;
    for (const TokenId id :
         tokenizer->encode(kCode, {.add_special = false, .parse_special = special})) {
      expected.append(expected.empty() ? "" : " ").append(std::to_string(id));
    }
    EXPECT_EQ(result.out, expected + "\n");

    const std::string ids = write_text(folder, "ids", result.out);
    const ProgramResult back = run_ingot({"tokenize", nano(), "--file", ids, "--decode"});
    EXPECT_EQ(back.exit_code, 0) << back.err;
    EXPECT_EQ(back.out, kCode);
  }
  // Text instead of ids comes back as it went in.
  EXPECT_EQ(run_ingot({"tokenize", nano(), "--file", file, "--decode"}).out, kCode);
  EXPECT_EQ(run_ingot({"tokenize", nano(), "--file", "-"}, {.in = ""}).out, "\n");
  expect_failure({"tokenize", nano(), "--file", write_text(folder, "high", "1 99999"), "--decode"},
                 1, "99999");
}

TEST(CliTokenize, VocabularyOnlyFilesWorkAndBosIsTheFilesChoice) {
  const auto vocabulary = test::fixtures() / "tokenizers/ggml-vocab-llama-spm.gguf";
  INGOT_NEED_FIXTURE(std::filesystem::exists(vocabulary), vocabulary);
  const ScratchFolder folder;
  const std::string file = write_text(folder, "text", "Hello world");
  const Arguments with = {"tokenize", vocabulary.string(), "--file", file};
  Arguments without = with;
  without.push_back("--no-bos");
  EXPECT_EQ(run_ingot(with).out, "1 15043 3186\n");
  EXPECT_EQ(run_ingot(without).out, "15043 3186\n");
  const std::string ids = write_text(folder, "ids", "1 15043 3186\n");
  EXPECT_EQ(run_ingot({"tokenize", vocabulary.string(), "--file", ids, "--decode"}).out,
            "Hello world");
  const ProgramResult inspect = run_ingot({"inspect", vocabulary.string()});
  EXPECT_EQ(inspect.exit_code, 0) << inspect.err;
  EXPECT_NE(inspect.out.find("32000 tokens"), std::string::npos) << inspect.out;
}

// ---- dequantize and quantize
// ----------------------------------------------------------------------

TEST(CliDequantize, WritesATensorsElements) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.f32").string();
  const std::string name = "blk.0.attn_k.weight";
  const ProgramResult result = run_ingot({"dequantize", nano(), "--tensor", name, "--out", out});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto file = GgufFile::open(nano());
  const GgufTensor& tensor = file->tensor(name);
  std::vector<float> expected(static_cast<std::size_t>(tensor.element_count()));
  dequantize(*tensor.dtype(), tensor.data, expected);
  EXPECT_EQ(read_array<float>(out), expected);

  const std::vector<std::string> before = names(folder);
  expect_failure({"dequantize", nano(), "--tensor", "no.such", "--out", (folder / "x").string()}, 1,
                 "no.such");
  expect_failure({"dequantize", nano(), "--tensor", name, "--out", "/dev/full"}, 1, "/dev/full");
  expect_failure({"dequantize", nano(), "--tensor", name}, 2, "--out");
  EXPECT_EQ(names(folder), before);
}

TEST(CliQuantize, WritesAFileThatDecodesToTheNearestValues) {
  const ScratchFolder folder;
  const std::string model = arch("llama.gguf");
  const auto original = GgufFile::open(model);
  struct Case {
    const char* type;
    std::int64_t file_type;
    double error;  // of a matrix, relative to its norm
  };
  // Half a step of a uniform grid over values of a normal distribution: a block of 32 reaches about
  // 2.1 deviations at the least. F16 2^-11, BF16 2^-8 at worst; Q8_0: step max/127; Q4_0: max/8,
  // step / sqrt(12) = 0.1 for blocks with a maximum of 2.8 deviations.
  const std::vector<Case> cases = {
      {"F16", 1, 0x1p-11}, {"bf16", 32, 0x1p-8}, {"q8_0", 7, 0.01}, {"Q4_0", 2, 0.13}};
  for (const Case& wanted : cases) {
    const std::string out = (folder / wanted.type).string();
    const ProgramResult result = run_ingot({"quantize", model, out, "--type", wanted.type});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    const auto file = GgufFile::open(out);
    EXPECT_EQ(file->get<std::int64_t>("general.file_type"), wanted.file_type);
    EXPECT_EQ(file->get<std::string>("general.architecture"), "llama");
    EXPECT_EQ(file->find("tokenizer.ggml.tokens")->size(),
              original->find("tokenizer.ggml.tokens")->size());
    ASSERT_EQ(file->tensors().size(), original->tensors().size());
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
      const GgufTensor& now = file->tensors()[i];
      const GgufTensor& then = original->tensors()[i];
      EXPECT_EQ(now.name, then.name);
      EXPECT_EQ(now.shape, then.shape);
      if (then.shape.size() == 1) {
        EXPECT_EQ(now.type_id, then.type_id) << "vectors are kept";
        EXPECT_TRUE(std::equal(now.data.begin(), now.data.end(), then.data.begin()));
        continue;
      }
      ASSERT_EQ(now.dtype(), parse_dtype(wanted.type)) << now.name;
      const auto count = static_cast<std::size_t>(then.element_count());
      std::vector<float> before(count);
      std::vector<float> after(count);
      dequantize(*then.dtype(), then.data, before);
      dequantize(*now.dtype(), now.data, after);
      EXPECT_LE(test::relative_error(after, before, count).whole, wanted.error)
          << now.name << " " << wanted.type;
    }
    // And it runs.
    EXPECT_EQ(run_ingot({"logits", out, "--tokens", arch("tokens.i32"), "--out",
                         (folder / "logits").string()})
                  .exit_code,
              0);
  }
}

TEST(CliQuantize, RowsThatDoNotDivideFallBackAndSecondRoundsAreRefused) {
  const ScratchFolder folder;
  const std::string once = (folder / "once.gguf").string();
  // Rows of this model are not multiples of 256.
  const ProgramResult result = run_ingot({"quantize", arch("llama.gguf"), once, "--type", "Q6_K"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("smaller blocks"), std::string::npos) << result.err;
  const std::string twice = (folder / "twice.gguf").string();
  expect_failure({"quantize", once, twice, "--type", "Q4_0"}, 1, "--allow-requantize");
  EXPECT_FALSE(std::filesystem::exists(twice));
  EXPECT_EQ(run_ingot({"quantize", once, twice, "--type", "Q4_0", "--allow-requantize"}).exit_code,
            0);
  expect_failure({"quantize", once, twice, "--type", "Q9_X"}, 2, "Q9_X");
  expect_failure({"quantize", once, twice}, 2, "--type");
  expect_failure({"quantize", arch("llama.gguf"), "/dev/full", "--type", "Q8_0"}, 1, "/dev/full");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

// ---- inspect ------------------------------------------------------------------------------------

TEST(CliInspect, DescribesForPeopleAndScripts) {
  const ProgramResult summary = run_ingot({"inspect", nano()});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  for (const char* part : {"qwen2", "8 layers", "4096 tokens", "Q8_0", "7.35 M", "fim middle",
                           "f16 4.0 KiB", "512 tokens"}) {
    EXPECT_NE(summary.out.find(part), std::string::npos) << part << " in " << summary.out;
  }
  const ProgramResult json = run_ingot({"inspect", nano(), "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  for (const char* part :
       {"\"general.architecture\": \"qwen2\"", "\"length\": 4096", "\"blk.7.ffn_down.weight\"",
        "\"type\": \"Q8_0\"", "\"layer_count\": 8"}) {
    EXPECT_NE(json.out.find(part), std::string::npos) << part;
  }
  EXPECT_LT(json.out.size(), 100000U) << "long arrays are cut";
  for (const char* part : {"a Qwen2 or Qwen2.5 model of 7.35 M parameters, mostly Q8_0 (8.53 bits",
                           "512 tokens of context, fills in the middle, has no chat template"}) {
    EXPECT_NE(summary.out.find(part), std::string::npos) << part << " in " << summary.out;
  }
  const ProgramResult program = run_ingot({"inspect", nano(), "--program"});
  EXPECT_EQ(program.exit_code, 0) << program.err;
  EXPECT_EQ(program.out, Model::open(nano())->program_text() +
                             (Model::open(nano())->program_text().ends_with('\n') ? "" : "\n"));
  expect_failure({"inspect", nano(), "--json", "--program"}, 2, "--program");
  expect_failure({"inspect", nano(), "--device", "cpu"}, 2, "--program");
  expect_failure({"inspect", arch("tokens.i32")}, 1, "tokens.i32");
}

// The products of each of 8 layers, and the last one, take over the norm before them, all but that
// of the first layer the add before it; and the gate runs with the products of the feed-forward.
TEST(CliInspect, TellsWhatADeviceRunsAsOne) {
  const std::string plain = Model::open(nano())->program_text();
  const auto count = std::count_if(plain.begin(), plain.end(), [](char c) { return c == '='; });
  const auto last_line = [&](const std::string& device, std::int64_t parts) {
    return "device " + device + ": " + std::to_string(count) + " instructions run as " +
           std::to_string(parts) + "\n";
  };
  const ProgramResult reference =
      run_ingot({"inspect", nano(), "--program", "--device", "reference"});
  EXPECT_EQ(reference.exit_code, 0) << reference.err;
  EXPECT_EQ(reference.out, plain + last_line("reference", count));
  ProgramResult cpu = run_ingot({"inspect", nano(), "--program", "--device", "cpu"});
  EXPECT_EQ(cpu.exit_code, 0) << cpu.err;
  std::map<std::string, int> followers;
  for (std::size_t at = 0; (at = cpu.out.find(" (with ", at)) != std::string::npos;) {
    const std::string line = cpu.out.substr(at, cpu.out.find('\n', at) - at);
    const std::size_t name = line.find(" = ") + 3;
    ++followers[line.substr(name, line.find('(', name) - name)];
    cpu.out.erase(at, line.find(')') + 1);
  }
  const std::map<std::string, int> expected = {{"norm", 16}, {"matmul", 17},     {"glu", 8},
                                               {"rope", 8},  {"state_store", 8}, {"attention", 8}};
  EXPECT_EQ(followers, expected);
  EXPECT_EQ(cpu.out, plain + last_line("cpu", count - 65));
}

// 288896 parameters, of which 5 of 8 experts of 3 x 64 x 32 in each of 3 layers are not used.
TEST(CliInspect, TellsWhatATokenUsesOfAModelWithExperts) {
  const ProgramResult summary = run_ingot({"inspect", arch("qwen3moe.gguf")});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  for (const char* part :
       {"288896, of which a token uses 196736", "8 per layer, feed-forward 32, each token uses 3",
        "a Qwen3 with experts model of 288896 parameters, 196736 active per token"}) {
    EXPECT_NE(summary.out.find(part), std::string::npos) << part << " in " << summary.out;
  }
  const ProgramResult json = run_ingot({"inspect", arch("qwen3moe.gguf"), "--json"});
  EXPECT_NE(json.out.find("\"active_parameter_count\": 196736"), std::string::npos);
}

}  // namespace
}  // namespace ingot
