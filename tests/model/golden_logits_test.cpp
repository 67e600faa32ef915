// Every architecture and every format gives the logits that an independent float64 implementation
// computed. Broken by a wrong weight, angle, mask, head mapping, cache row or norm.
#include "tests/support/devices.hpp"
#include "tests/support/fixtures.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

using test::all_logits;
using test::relative_error;

constexpr std::size_t kVocabulary = 512;

/// Where activations and products are f32 and the cache is; beside what the golden logits
/// themselves are off by (DeepSeek-V2's are sums in f32: see the reference's bound).
constexpr double kF32Bound = 1e-5;
constexpr double kDeepSeekGoldenError = 2e-5;

struct DeviceBound {
  friend void PrintTo(const DeviceBound& value, std::ostream* out) { *out << value.device; }
  std::string device;
  double
      bound;  // f32 weights and cache: a few hundred roundings of 2^-24 (cpu) or none (reference)
};

// Each device under test; all but the reference compute in f32.
std::vector<DeviceBound> device_bounds(double reference, double others) {
  std::vector<DeviceBound> bounds;
  for (const std::string& device : test::test_device_names()) {
    bounds.push_back({device, device == "reference" ? reference : others});
  }
  return bounds;
}

class ArchitectureTest : public ::testing::TestWithParam<std::tuple<std::string, DeviceBound>> {
 protected:
  void expect_golden(const std::vector<float>& logits, double bound) {
    const auto error =
        relative_error(logits, test::golden_logits(std::get<0>(GetParam())), kVocabulary);
    EXPECT_LE(error.whole, bound);
    EXPECT_LE(error.worst_row, bound);
  }
  std::shared_ptr<const Executable> load(DType cache = DType::F32) {
    LoadOptions options = test::options_for(std::get<1>(GetParam()).device, cache);
    options.max_sequences = 2;
    return Executable::load(test::small_model(std::get<0>(GetParam())), options);
  }
  double bound() const { return std::get<1>(GetParam()).bound; }
};

TEST_P(ArchitectureTest, OneStepGivesTheGoldenLogits) {
  Session session(load());
  expect_golden(all_logits(session, session.open(), test::golden_tokens()), bound());
}

// Weights and cache are f32: what is left are sums.
TEST_P(ArchitectureTest, F32PrecisionIsAsCloseAsTheReference) {
  LoadOptions options = test::options_for(std::get<1>(GetParam()).device);
  options.compile.precision = Precision::f32;
  Session session(Executable::load(test::small_model(std::get<0>(GetParam())), options));
  const auto logits = all_logits(session, session.open(), test::golden_tokens());
  const bool is_deepseek = std::get<0>(GetParam()) == "deepseek2-lite";
  const double bound = kF32Bound + (is_deepseek ? kDeepSeekGoldenError : 0);
  expect_golden(logits, bound);
  Session chunks(Executable::load(test::small_model(std::get<0>(GetParam())), options));
  expect_golden(all_logits(chunks, chunks.open(), test::golden_tokens(), 5), bound);
}

TEST_P(ArchitectureTest, APromptInChunksEqualsThePromptWhole) {
  const auto executable = load();
  for (const std::size_t chunk : {1, 7, 33}) {
    Session session(executable);
    expect_golden(all_logits(session, session.open(), test::golden_tokens(), chunk), bound());
  }
}

TEST_P(ArchitectureTest, SequencesOfOneBatchDoNotSeeEachOther) {
  Session session(load());
  const auto tokens = test::golden_tokens();
  const SequenceId golden = session.open();
  const SequenceId other = session.open();
  const std::vector<TokenId> reversed(tokens.rbegin(), tokens.rend());
  const StepResult result = session.step(
      {{other, std::span(reversed).first(31), Outputs::all()}, {golden, tokens, Outputs::all()}});
  ASSERT_EQ(result.first_row(1), 31);
  expect_golden({result.logits(31).data(), result.logits(31).data() + tokens.size() * kVocabulary},
                bound());
}

// In the last layer rows that want none are left out: what they leave in the cache is not.
TEST_P(ArchitectureTest, RowsWithoutLogitsCountAllTheSame) {
  Session session(load());
  const auto tokens = test::golden_tokens();
  const auto golden = test::golden_logits(std::get<0>(GetParam()));
  const SequenceId sequence = session.open();
  EXPECT_EQ(session.step({{sequence, std::span(tokens).first(20), Outputs::none()}}).row_count(),
            0);
  const StepResult result =
      session.step({{sequence, std::span(tokens).subspan(20), test::rows_of({0, 9, 27})}});
  ASSERT_EQ(result.row_count(), 3);
  std::int64_t i = 0;
  for (const std::size_t row : {20, 29, 47}) {
    const auto expected = std::span(golden).subspan(row * kVocabulary, kVocabulary);
    EXPECT_LE(relative_error(result.logits(i++), expected, kVocabulary).whole, bound());
  }
}

TEST_P(ArchitectureTest, ACacheOfFewerBitsCostsLittle) {
  // f16 keeps 11 bits: 2^-12 per stored element. q8_0 keeps 127 steps of the largest of 32
  // elements: 0.5% of a typical element, averaged over the positions but not at the first ones, so
  // that only the whole is bounded. Both are for models of up to 8 layers; the roundings of the
  // layers are independent, so deeper ones may be off by the root of their number more.
  const auto layers =
      static_cast<double>(test::small_model(std::get<0>(GetParam()))->spec().layer_count);
  double depth = std::max(1.0, std::sqrt(layers / 8));
  // One rounding of a latent reaches all (here four) heads, so their errors do not average out:
  // twice as much.
  const bool latents =
      test::small_model(std::get<0>(GetParam()))->spec().architecture == "deepseek2";
  if (latents) depth *= 2;
  const auto golden = test::golden_logits(std::get<0>(GetParam()));
  const auto tokens = test::golden_tokens();
  Session half(load(DType::F16));
  const auto half_error =
      relative_error(all_logits(half, half.open(), tokens), golden, kVocabulary);
  const auto executable = load(DType::Q8_0);
  Session eight(executable);
  const auto error = relative_error(all_logits(eight, eight.open(), tokens), golden, kVocabulary);
  if (executable->model()->spec().expert_count == 0) {
    EXPECT_LE(half_error.worst_row, 2e-3 * depth);
    EXPECT_LE(error.whole, 2e-2 * depth);
  } else {
    // A rounding can flip the choice of an expert, and with it a row: the middle row shows the
    // rounding itself, which enters an expert's weight as well as its input.
    EXPECT_LE(half_error.median_row, 2 * 2e-3 * depth);
    // With so few bits a flipped row's keys and values, and so every row behind it, may be others:
    // the first row, which sees no other, shows the rounding.
    const auto first = std::span(golden).first(kVocabulary);
    Session again(executable);
    const auto one = again.step({{again.open(), std::span(tokens).first(1)}});
    EXPECT_LE(relative_error(one.logits(0), first, kVocabulary).whole, 2 * 2e-2 * depth);
  }
}

template <class Info>
std::string case_name(const Info& parameter) {
  std::string name = std::get<0>(parameter.param) + "_" + std::get<1>(parameter.param).device;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    All, ArchitectureTest,
    ::testing::Combine(::testing::Values("llama", "llama-linear-rope", "llama3-rope-factors",
                                         "qwen2", "qwen3", "starcoder2", "starcoder2-window",
                                         "olmo2", "olmo3", "granite", "gemma3", "gemma3-62-layers",
                                         "phi3", "mixtral", "qwen2moe", "qwen3moe", "gpt-oss",
                                         "deepseek3", "deepseek3-split"),
                       ::testing::ValuesIn(device_bounds(1e-5, 1e-4))),
    [](const auto& parameter) { return case_name(parameter); });

// 27 layers, whose golden logits are known to 2e-5.
INSTANTIATE_TEST_SUITE_P(DeepSeekV2, ArchitectureTest,
                         ::testing::Combine(::testing::Values("deepseek2-lite"),
                                            ::testing::ValuesIn(device_bounds(2e-5, 1e-4))),
                         [](const auto& parameter) { return case_name(parameter); });

// Phi's frequencies are divided by one set of factors within the original context (32 here) and by
// another beyond; the 48 tokens above need the latter.
TEST(LongRope, AContextWithinTheOriginalOneTurnsByTheShortFactors) {
  const auto tokens = test::golden_tokens();
  const auto golden = test::golden_logits("phi3-short");
  for (const DeviceBound& device : device_bounds(1e-5, 1e-4)) {
    LoadOptions options = test::options_for(device.device);
    options.run.context = 32;
    Session session(Executable::load(test::small_model("phi3"), options));
    const auto logits = all_logits(session, session.open(), std::span(tokens).first(32));
    EXPECT_LE(relative_error(logits, golden, kVocabulary).worst_row, device.bound);
    options.run.context = 48;
    Session beyond(Executable::load(test::small_model("phi3"), options));
    const auto other = all_logits(beyond, beyond.open(), std::span(tokens).first(32));
    EXPECT_GE(relative_error(other, golden, kVocabulary).whole, 1e-2)
        << "the factors make no difference: this test finds nothing";
  }
}

// Formats: models of shared fixtures, whose matrices are all of one type.
class FormatLogitsTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = test::fixtures() / "quant";
    const auto model = folder_ / (GetParam() + ".gguf");
    INGOT_NEED_FIXTURE(std::filesystem::exists(model), model);
  }
  test::RelativeError error_on(const std::string& device, Precision precision = Precision::fast,
                               std::size_t chunk = 0) {
    LoadOptions options = test::options_for(device);
    options.compile.precision = precision;
    Session session(Executable::load(Model::open(folder_ / (GetParam() + ".gguf")), options));
    const auto tokens = test::read_array<TokenId>(folder_ / "tokens.i32");
    const auto golden = test::read_array<float>(folder_ / (GetParam() + ".logits.f32"));
    return relative_error(all_logits(session, session.open(), tokens, chunk), golden, kVocabulary);
  }
  std::filesystem::path folder_;
};

TEST_P(FormatLogitsTest, ReferenceMatchesFloat64OfTheDecodedWeights) {
  const auto error = error_on("reference");
  EXPECT_LE(error.whole, 1e-5);
  EXPECT_LE(error.worst_row, 1e-5);
}

TEST_P(FormatLogitsTest, CpuIsWithinWhatActivationRoundingExplains) {
  // 16-bit weights keep f32 products; the others round activations to int8 in blocks of 32 when few
  // rows are computed, 0.5% each (docs/numerics.md).
  const bool products_in_f32 = GetParam() == "F16" || GetParam() == "BF16";
  const auto error = error_on("cpu");
  EXPECT_LE(error.worst_row, products_in_f32 ? 1e-4 : 2e-2);
}

TEST_P(FormatLogitsTest, CpuInF32RoundsNoActivations) {
  EXPECT_LE(error_on("cpu", Precision::f32).worst_row, kF32Bound);
  EXPECT_LE(error_on("cpu", Precision::f32, 3).worst_row, kF32Bound) << "few rows";
}

INSTANTIATE_TEST_SUITE_P(All, FormatLogitsTest,
                         ::testing::Values("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                           "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                           "IQ4_XS"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ingot
