// What is odd but no error is said once: in lists of the library, on one line of stderr each by the
// program.
#include "ingot/generate.hpp"
#include "tests/support/changed_model.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::changed_model;
using test::run_ingot;

constexpr const char* kPre = "tokenizer.ggml.pre";

std::vector<std::string> warnings_of(const test::ModelChanges& changes) {
  return Model::from_file(changed_model("llama", changes))->warnings();
}

std::size_t warning_lines(const std::string& text) {
  std::size_t count = 0;
  const std::string_view start = "ingot: warning: ";
  for (std::size_t at = text.find(start); at != std::string::npos; at = text.find(start, at + 1)) {
    EXPECT_TRUE(at == 0 || text[at - 1] == '\n') << text;
    ++count;
  }
  return count;
}

/// A model in a file: llama with changes.
std::string file_of(const test::ScratchFolder& folder, const test::ModelChanges& changes) {
  const auto file = GgufFile::open(test::test_data("arch/llama.gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  if (changes.metadata) changes.metadata(writer);
  for (const GgufTensor& tensor : file->tensors()) writer.add_tensor(tensor);
  return folder.file("model.gguf", writer.to_bytes()).string();
}

const test::ModelChanges kNoPre = {.metadata = [](GgufWriter& writer) { writer.erase(kPre); }};
const test::ModelChanges kAddsBos = {
    .metadata = [](GgufWriter& writer) { writer.set("tokenizer.ggml.add_bos_token", true); }};

TEST(Warnings, AFileWithoutItsPreTokenizerSaysSo) {
  EXPECT_TRUE(warnings_of({}).empty());
  ASSERT_EQ(warnings_of(kNoPre).size(), 1U);
  EXPECT_NE(warnings_of(kNoPre).front().find(kPre), std::string::npos);
  // SentencePiece vocabularies have none.
  EXPECT_TRUE(warnings_of({.metadata = [](GgufWriter& writer) {
                writer.erase(kPre);
                writer.set("tokenizer.ggml.model", std::string("llama"));
              }}).empty());
}

TEST(Warnings, AFileWithoutTheEpsilonOfItsNormsSaysSo) {
  const std::string key = "llama.attention.layer_norm_rms_epsilon";
  const auto warnings = warnings_of({.metadata = [&](GgufWriter& writer) { writer.erase(key); }});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings.front().find(key), std::string::npos);
}

TEST(Warnings, MoreThreadsThanProcessors) {
  for (const DeviceInfo& device : test::test_devices()) {
    LoadOptions options = test::options_for(device.name);
    options.compile.threads = device.threads;
    EXPECT_TRUE(Executable::load(test::small_model("llama"), options)->warnings().empty());
    options.compile.threads = 0;
    EXPECT_TRUE(Executable::load(test::small_model("llama"), options)->warnings().empty());
    options.compile.threads = device.threads + 1;
    const auto executable = Executable::load(test::small_model("llama"), options);
    ASSERT_EQ(executable->warnings().size(), 1U);
    EXPECT_NE(executable->warnings().front().find(std::to_string(device.threads + 1) + " threads"),
              std::string::npos);
    // The model's come with the executable's.
    const auto model = Model::from_file(changed_model("llama", kNoPre));
    EXPECT_EQ(Executable::load(model, options)->warnings().size(), 2U);
  }
}

TEST(Warnings, APromptThatBeginsWithTheBosThatIsAdded) {
  const auto model = Model::from_file(changed_model("llama", kAddsBos));
  const auto tokenizer = model->tokenizer();
  ASSERT_TRUE(tokenizer->adds_bos());
  const std::string bos(tokenizer->raw_text(*tokenizer->bos()));
  const auto executable = Executable::load(model, test::options_for("cpu"));
  Session session(executable);
  GenerateRequest request;
  request.max_tokens = 1;
  const auto warnings = [&] { return generate(session, request).warnings; };
  request.prompt = "def f(";
  EXPECT_TRUE(warnings().empty());
  request.prompt = bos + "def f(";
  ASSERT_EQ(warnings().size(), 1U);
  EXPECT_NE(warnings().front().find(bos), std::string::npos);
  request.parse_special = false;  // then it is text
  EXPECT_TRUE(warnings().empty());
  request.parse_special = true;
  request.prompt_ids = {*tokenizer->bos(), *tokenizer->bos(), 5};  // as the caller wants it
  EXPECT_TRUE(warnings().empty());
  Session plain(Executable::load(test::small_model("llama"), test::options_for("cpu")));
  request.prompt_ids.clear();
  EXPECT_TRUE(generate(plain, request).warnings.empty()) << "no BOS is added there";
}

TEST(CliWarnings, AreALineEachOnStderr) {
  const test::ScratchFolder folder;
  const std::string model = file_of(folder, {.metadata = [](GgufWriter& writer) {
                                      kNoPre.metadata(writer);
                                      kAddsBos.metadata(writer);
                                    }});
  const std::string bos = "<|endoftext|>";
  const std::string threads = std::to_string(devices().front().threads + 1);
  const auto result = run_ingot({"run", model, "-p", bos + "x", "-n", "1", "-t", threads});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(warning_lines(result.err), 3U) << result.err;
  for (const std::string& part :
       {std::string(kPre), threads + " threads", std::string("begins with")}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
  const std::string tokens = test::test_data("arch/tokens.i32").string();
  const auto logits =
      run_ingot({"logits", model, "--tokens", tokens, "--out", (folder / "out.f32").string()});
  EXPECT_EQ(warning_lines(logits.err), 1U) << logits.err;
  const auto text = folder.file("text", std::as_bytes(std::span(bos.data(), bos.size())));
  const auto ids = run_ingot({"tokenize", model, "--file", text.string()});
  EXPECT_EQ(ids.out, "503 503\n");
  EXPECT_EQ(warning_lines(ids.err), 1U) << ids.err;
  EXPECT_EQ(warning_lines(run_ingot({"tokenize", model, "--file", text.string(), "--no-bos"}).err),
            0U);
}

TEST(CliWarnings, AFileThatIsCompleteGivesNone) {
  const std::string model = test::test_data("arch/llama.gguf").string();
  const auto result = run_ingot({"run", model, "-p", "x", "-n", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(warning_lines(result.err), 0U) << result.err;
}

}  // namespace
}  // namespace ingot
