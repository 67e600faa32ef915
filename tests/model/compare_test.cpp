// The instruction-by-instruction comparison finds what is wrong and nothing else.
#include "src/session/compare.hpp"

#include <cstring>
#include <limits>
#include <random>

#include "ingot/diff.hpp"
#include "ingot/gguf_writer.hpp"
#include "tests/support/all_formats.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

std::string describe(const ValueDifference& d) {
  return std::to_string(d.instruction) + " " + d.operation + " " + d.value + ": " +
         std::to_string(d.error) + " > " + std::to_string(d.bound) + " in row " +
         std::to_string(d.worst_row);
}

std::vector<ValueDifference> compare_cpu(const std::shared_ptr<const Model>& model,
                                         std::size_t count, DType cache = DType::F32) {
  const auto tokens = test::golden_tokens();
  return compare_devices(model, std::span(tokens).first(std::min(count, tokens.size())),
                         test::options_for("cpu", cache), test::options_for("reference", cache));
}

void expect_within(const std::vector<ValueDifference>& differences) {
  ASSERT_FALSE(differences.empty());
  for (const ValueDifference& d : differences) EXPECT_FALSE(d.beyond()) << describe(d);
}

/// A model with its tensors changed: what `change` makes of a tensor's bytes.
std::shared_ptr<const Model> changed(
    test::ScratchFolder& folder, const std::string& name,
    const std::function<void(const GgufTensor&, std::span<std::byte>)>& change) {
  const auto file = GgufFile::open(test::test_data("arch/" + name + ".gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  std::vector<std::vector<std::byte>> kept;
  for (const GgufTensor& tensor : file->tensors()) {
    kept.emplace_back(tensor.data.begin(), tensor.data.end());
    change(tensor, kept.back());
    writer.add_tensor(tensor.name, tensor.type_id, tensor.shape, kept.back());
  }
  const auto path = folder / (name + ".changed.gguf");
  writer.write(path);
  return Model::open(path);
}

/// `factor` times the weights that `which` takes.
auto times(float factor, bool (*which)(std::string_view name)) {
  return [factor, which](const GgufTensor& tensor, std::span<std::byte> bytes) {
    if (tensor.dtype() != DType::F32 || !which(tensor.name)) return;
    for (std::size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
      float x = 0;
      std::memcpy(&x, bytes.data() + at, sizeof x);
      x *= factor;
      std::memcpy(bytes.data() + at, &x, sizeof x);
    }
  };
}

bool is_norm(std::string_view name) {
  return name.find("norm") != std::string_view::npos;
}
bool is_matrix(std::string_view name) {
  return !is_norm(name) && name.find("rope_") == std::string_view::npos;
}

class CompareArchitectureTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CompareArchitectureTest, CpuStaysWithinWhatRoundingExplains) {
  const auto model = test::small_model(GetParam());
  for (const std::size_t count : {1, 5, 9, 17, 48}) {
    const auto differences = compare_cpu(model, count);
    expect_within(differences);
    for (const ValueDifference& d : differences) {
      EXPECT_LT(d.bound, 1e-4) << d.value << ": a bound this wide finds nothing";
    }
  }
}

TEST_P(CompareArchitectureTest, CpuStaysWithinItWithAnyCache) {
  const auto model = test::small_model(GetParam());
  for (const DType cache : {DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    SCOPED_TRACE(to_string(cache));
    for (const std::size_t count : {5, 48}) expect_within(compare_cpu(model, count, cache));
  }
}

// Weights and values that underflow on the way, or all the same: no error, and none is reported.
TEST_P(CompareArchitectureTest, SoundModelsOfAnySizeRaiseNoAlarm) {
  test::ScratchFolder folder;
  struct Case {
    float factor;
    bool (*which)(std::string_view);
  };
  for (const auto& [factor, which] : {Case{1e-40F, is_matrix},
                                      {1e-20F, is_matrix},
                                      {0.0F, is_matrix},
                                      {1e-41F, is_norm},
                                      {1e-33F, is_norm},
                                      {0.0F, is_norm},
                                      {1e10F, is_matrix}}) {
    SCOPED_TRACE((which == is_norm ? "norms times " : "matrices times ") + std::to_string(factor));
    const auto model = changed(folder, GetParam(), times(factor, which));
    for (const std::size_t count : {1, 12}) expect_within(compare_cpu(model, count));
  }
}

TEST_P(CompareArchitectureTest, ADeviceAgreesWithItself) {
  const auto model = test::small_model(GetParam());
  for (const char* device : {"reference", "cpu"}) {
    const auto options = test::options_for(device);
    for (const auto& d : compare_devices(model, test::golden_tokens(), options, options)) {
      EXPECT_EQ(d.error, 0) << d.value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CompareArchitectureTest,
                         ::testing::Values("llama", "qwen2", "qwen3", "starcoder2", "olmo3",
                                           "granite", "gemma3", "phi3", "deepseek3", "gpt-oss",
                                           "qwen3moe", "deepseek3-split"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// A llama of one layer whose matrices have rows of 256 columns, all of one type.
std::shared_ptr<const Model> model_of(test::ScratchFolder& folder, DType type, float change = 0) {
  const auto file = GgufFile::open(test::test_data("arch/llama.gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  constexpr std::int64_t kHidden = 256;
  const std::int64_t vocabulary = file->tensor("token_embd.weight").shape[1];
  writer.set("llama.block_count", std::uint32_t{1});
  writer.set("llama.embedding_length", static_cast<std::uint32_t>(kHidden));
  writer.set("llama.feed_forward_length", static_cast<std::uint32_t>(kHidden));
  writer.set("llama.attention.head_count", std::uint32_t{4});
  writer.set("llama.attention.head_count_kv", std::uint32_t{2});
  writer.set("llama.attention.key_length", std::uint32_t{64});
  writer.set("llama.attention.value_length", std::uint32_t{64});
  writer.set("llama.rope.dimension_count", std::uint32_t{64});
  std::vector<std::vector<std::byte>> kept;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto add = [&](const std::string& name, DType stored, std::int64_t rows,
                       std::int64_t columns, float mean, float spread) {
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    for (float& x : values) x = mean + spread * normal(random);
    kept.emplace_back(row_bytes(stored, columns) * static_cast<std::uint64_t>(rows));
    quantize(stored, values, kept.back());
    if (change != 0 && name == "blk.0.ffn_up.weight") {
      // One weight of one row, by `change` of the largest.
      dequantize(stored, kept.back(), values);
      const float most = *std::max_element(values.begin(), values.begin() + columns);
      values[5] += values[5] > 0 ? -change * most : change * most;
      quantize(stored, values, kept.back());
    }
    std::vector<std::int64_t> shape = {columns};
    if (rows > 1) shape.push_back(rows);
    writer.add_tensor(name, static_cast<std::uint32_t>(stored), shape, kept.back());
  };
  const float size = 1.0F / 16;
  add("token_embd.weight", type, vocabulary, kHidden, 0, 1);
  add("output_norm.weight", DType::F32, 1, kHidden, 1, 0.2F);
  add("output.weight", type, vocabulary, kHidden, 0, size);
  add("blk.0.attn_norm.weight", DType::F32, 1, kHidden, 1, 0.2F);
  add("blk.0.ffn_norm.weight", DType::F32, 1, kHidden, 1, 0.2F);
  add("blk.0.attn_q.weight", type, 256, kHidden, 0, size);
  add("blk.0.attn_k.weight", type, 128, kHidden, 0, size);
  add("blk.0.attn_v.weight", type, 128, kHidden, 0, size);
  add("blk.0.attn_output.weight", type, kHidden, 256, 0, size);
  add("blk.0.ffn_gate.weight", type, kHidden, kHidden, 0, size);
  add("blk.0.ffn_up.weight", type, kHidden, kHidden, 0, size);
  add("blk.0.ffn_down.weight", type, kHidden, kHidden, 0, size);
  const auto path = folder / (std::string(to_string(type)) + (change != 0 ? ".bad" : "") + ".gguf");
  writer.write(path);
  return Model::open(path);
}

class CompareFormatsTest : public ::testing::TestWithParam<DType> {};

// Bounds of products are no wider than what one wrong weight does. What rounding leaves of it
// depends on the path: an error of a 16-bit activation is 2^-16, of a bf16 2^-9.
TEST_P(CompareFormatsTest, BoundsAreCloseToTheErrors) {
  test::ScratchFolder folder;
  const auto model = model_of(folder, GetParam());
  for (const std::size_t count : {1, 8, 9, 40}) {
    const auto differences = compare_cpu(model, count);
    expect_within(differences);
    for (const ValueDifference& d : differences) {
      if (d.operation != "matmul") continue;
      EXPECT_GT(d.ratio(), 1.0 / 64) << describe(d) << ": too wide";
    }
  }
}

// One weight of 65,536 that is two thirds of its row's largest too large.
TEST_P(CompareFormatsTest, OneWrongWeightIsFound) {
  test::ScratchFolder folder;
  const auto tokens = test::golden_tokens();
  LoadOptions options = test::options_for("cpu");
  options.run.context = 48;
  options.max_step_tokens = 48;
  const auto wrong = Executable::load(model_of(folder, GetParam(), 2.0F / 3), options);
  options.device = "reference";
  const auto right = Executable::load(model_of(folder, GetParam()), options);
  for (const ValueDifference& d : internal::compare(wrong, right, tokens)) {
    EXPECT_EQ(d.beyond(), d.value == "blk.0.ffn_up") << describe(d);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CompareFormatsTest,
                         ::testing::Values(DType::F32, DType::F16, DType::BF16, DType::Q8_0,
                                           DType::Q4_0, DType::Q4_K, DType::Q5_K, DType::Q6_K,
                                           DType::MXFP4),
                         test::format_name);

TEST(CompareDevices, BadInputIsRefused) {
  const auto model = test::small_model("llama");
  EXPECT_THROW(compare_devices(model, {}, test::options_for("cpu"), test::options_for("cpu")),
               Error);
  EXPECT_THROW(compare_devices(model, test::golden_tokens(), test::options_for("cpu"),
                               test::options_for("reference", DType::F16)),
               Error);
}

TEST(ValueDifferenceTest, SaysHowMuchOfABoundIsUsed) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto of = [](double error, double bound) {
    ValueDifference d;
    d.error = error;
    d.bound = bound;
    return d;
  };
  EXPECT_EQ(of(1, 4).ratio(), 0.25);
  EXPECT_EQ(of(4, 1).ratio(), 4);
  EXPECT_EQ(of(0, 0).ratio(), 0);
  EXPECT_FALSE(of(0, 0).beyond());
  EXPECT_EQ(of(1e-9, 0).ratio(), kInfinity);
  EXPECT_TRUE(of(1e-9, 0).beyond());
  EXPECT_FALSE(of(kInfinity, kInfinity).beyond());
  EXPECT_EQ(of(kInfinity, kInfinity).ratio(), 0);
  EXPECT_TRUE(of(std::nan(""), 1).beyond());
}

}  // namespace
}  // namespace ingot
