// The instruction-by-instruction comparison finds what is wrong and nothing else.
#include "ingot/diff.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

class CompareTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CompareTest, CpuStaysWithinWhatRoundingExplains) {
  const auto model = test::small_model(GetParam());
  const auto tokens = test::golden_tokens();
  for (const std::size_t count : {std::size_t{1}, std::size_t{5}, tokens.size()}) {
    const auto differences =
        compare_devices(model, std::span(tokens).first(count), test::options_for("cpu"),
                        test::options_for("reference"));
    ASSERT_FALSE(differences.empty());
    for (const ValueDifference& d : differences) {
      EXPECT_FALSE(d.beyond()) << d.instruction << " " << d.operation << " " << d.value << ": "
                               << d.error << " > " << d.bound << " in row " << d.worst_row;
      EXPECT_LT(d.bound, 1e-3) << d.value << ": a bound this wide finds nothing";
    }
  }
}

TEST_P(CompareTest, ADeviceAgreesWithItself) {
  const auto model = test::small_model(GetParam());
  const auto options = test::options_for("reference");
  for (const auto& d : compare_devices(model, test::golden_tokens(), options, options)) {
    EXPECT_LE(d.error, 1.2e-7) << d.value << ": only the rounding to f32 of what is shown";
  }
}

TEST(CompareDevices, BadInputIsRefused) {
  const auto model = test::small_model("llama");
  EXPECT_THROW(compare_devices(model, {}, test::options_for("cpu"), test::options_for("cpu")),
               Error);
  EXPECT_THROW(compare_devices(model, test::golden_tokens(), test::options_for("cpu"),
                               test::options_for("reference", DType::F16)),
               Error);
}

INSTANTIATE_TEST_SUITE_P(Models, CompareTest,
                         ::testing::Values("llama", "qwen2", "qwen3", "starcoder2", "olmo3",
                                           "granite", "gemma3", "phi3", "deepseek3"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ingot
