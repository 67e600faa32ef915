// Perplexity of the bundled model in every storage type, on every target of the CPU, beside the
// reference executor's on the same bytes. If this fails, a kernel loses more of a trained model
// than rounding explains, although each of its products may stay within the bounds of tests/ops.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "ingot/gguf_writer.hpp"
#include "ingot/model.hpp"
#include "ingot/sampler/log_probability.hpp"
#include "ingot/tokenizer.hpp"
#include "tests/support/all_formats.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot::internal {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano";

/// A prompt in one step, and ids in steps that count as few rows (cpu/ops/matmul.hpp).
constexpr std::size_t kPromptIds = 512;
constexpr std::size_t kFewIds = 128;
constexpr std::size_t kFewRows = 8;

constexpr double kMost = 0.002;

/// Writes the bundled model with all its matrices in `type`: rows have 256 and 768 columns, which
/// every type's blocks divide.
void write_encoded(DType type, const std::filesystem::path& path) {
  const auto file = GgufFile::open(kFolder / "ingot-nano-code-q8_0.gguf");
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.shape.size() < 2) {
      writer.add_tensor(tensor);
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
    dequantize(*tensor.dtype(), tensor.data, values);
    std::vector<std::byte> bytes(static_cast<std::size_t>(row_bytes(type, tensor.element_count())));
    quantize(type, values, bytes);
    writer.add_tensor(tensor.name, type, tensor.shape, std::move(bytes));
  }
  writer.write(path);
}

/// The first ids of the validation text.
std::vector<TokenId> read_ids(std::size_t count) {
  const auto model = Model::open(kFolder / "ingot-nano-code-q8_0.gguf");
  const std::vector<char> text = test::read_array<char>(kFolder / "valid.txt");
  auto ids = model->tokenizer()->encode(std::string_view(text.data(), text.size()),
                                        {.parse_special = false});
  ids.resize(count);
  return ids;
}

class EncodedPerplexity : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override { write_encoded(GetParam(), folder_ / "model.gguf"); }

  /// exp of the mean of -log p of every id but the first, `rows` ids a step (0: all in one). Each
  /// target runs in a process of its own, since a process chooses its target once.
  double perplexity(std::span<const TokenId> ids, const std::string& device, std::size_t rows) {
    const std::string tokens = folder_.file("tokens.i32", std::as_bytes(ids)).string();
    const std::string out = (folder_ / "logits.f32").string();
    std::vector<std::string> arguments = {"logits",         (folder_ / "model.gguf").string(),
                                          "--device",       device,
                                          "--tokens",       tokens,
                                          "--out",          out,
                                          "--cache-type-k", "f16",
                                          "--cache-type-v", "f16"};
    if (rows > 0) arguments.insert(arguments.end(), {"--chunk", std::to_string(rows)});
    const test::ProgramResult result = test::run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::vector<float> logits = test::read_array<float>(out);
    const std::size_t vocabulary = logits.size() / ids.size();
    double sum = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto row = std::span(logits).subspan(i * vocabulary, vocabulary);
      sum -= log_probabilities(row, ids[i + 1]).chosen.log_probability;
    }
    return std::exp(sum / static_cast<double>(ids.size() - 1));
  }

 private:
  test::ScratchFolder folder_;
};

TEST_P(EncodedPerplexity, IsThatOfTheReferenceOnEveryTarget) {
  const auto ids = read_ids(kPromptIds);
  const auto few_ids = std::span(ids).first(kFewIds);
  const double reference = perplexity(ids, "reference", 0);
  const double few_reference = perplexity(few_ids, "reference", 0);
  // Weights that an encoder made useless would be as useless everywhere: 8-bit ones give 6, plainly
  // rounded 2-bit ones 8.
  EXPECT_LT(reference, 12);
  for (const cpu::KernelTable* target : cpu::available_targets()) {
    const std::string name(target->name);
    SCOPED_TRACE(name);
    const test::Environment isa("INGOT_CPU_ISA", name.c_str());
    EXPECT_NEAR(perplexity(ids, "cpu", 0) / reference, 1, kMost);
    EXPECT_NEAR(perplexity(few_ids, "cpu", kFewRows) / few_reference, 1, kMost);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EncodedPerplexity, ::testing::ValuesIn(test::all_formats()),
                         test::format_name);

}  // namespace
}  // namespace ingot::internal
