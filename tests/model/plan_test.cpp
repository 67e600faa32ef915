// Planning: exact bytes, the default context, and refusals before anything is allocated.
#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

class PlanTest : public ::testing::TestWithParam<std::string> {};

TEST_P(PlanTest, CountsEveryByteOfTheCache) {
  LoadOptions options = test::options_for(GetParam(), DType::F16);
  options.max_sequences = 3;
  options.run.context = 100;
  const auto model = test::small_model("llama");
  const ModelSpec& spec = model->spec();
  const MemoryPlan plan = plan_memory(*model, options);
  const auto per_token = static_cast<std::uint64_t>(spec.layer_count * spec.kv_head_count *
                                                    (spec.key_size + spec.value_size) * 2);
  EXPECT_EQ(plan.cache_bytes_per_token, per_token);
  EXPECT_EQ(plan.cache_bytes, per_token * 128 * 3) << "whole pages of 64 positions";
  EXPECT_EQ(plan.context, 100);
  EXPECT_TRUE(plan.fits());
  EXPECT_GT(plan.scratch_bytes, 0U);
}

TEST_P(PlanTest, WeightsAreAtLeastTheFileOwnSize) {
  const auto model = test::small_model("qwen2");
  const MemoryPlan plan = plan_memory(*model, test::options_for(GetParam()));
  std::uint64_t bytes = 0;
  for (const GgufTensor& tensor : model->file().tensors()) bytes += tensor.data.size();
  EXPECT_GE(plan.weights_bytes, bytes);
}

TEST_P(PlanTest, TheUnaskedContextIsTheModelsOrWhatFits) {
  const auto model = test::small_model("llama");
  LoadOptions options = test::options_for(GetParam());
  const MemoryPlan roomy = plan_memory(*model, options);
  EXPECT_EQ(roomy.context, std::min(model->spec().context_length, kDefaultContext));
  options.memory_limit =
      roomy.weights_bytes + roomy.scratch_bytes + roomy.cache_bytes_per_token * 200;
  const MemoryPlan tight = plan_memory(*model, options);
  EXPECT_EQ(tight.context, 192) << "three whole pages fit";
  EXPECT_TRUE(tight.fits());
  EXPECT_EQ(Session(Executable::load(model, options)).context(), 192);
}

TEST_P(PlanTest, WhatDoesNotFitIsRefusedWithTheNumbers) {
  const auto model = test::small_model("llama");
  LoadOptions options = test::options_for(GetParam());
  options.run.context = 256;
  options.memory_limit = 1 << 20;
  try {
    Executable::load(model, options);
    FAIL() << "expected a refusal";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    const std::string text = error.what();
    for (const char* part :
         {"weights", "cache", "scratch", "256 positions", "1.00 MiB available"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " missing in: " << text;
    }
  }
}

TEST_P(PlanTest, WhatWouldFitIsTold) {
  const auto model = test::small_model("llama");
  LoadOptions options = test::options_for(GetParam(), DType::F32);
  const MemoryPlan roomy = plan_memory(*model, options);
  options.run.context = 2048 <= model->spec().context_length ? 2048 : model->spec().context_length;
  options.memory_limit =
      plan_memory(*model, options).total_bytes() - roomy.cache_bytes_per_token * 100;
  const std::string text = plan_memory(*model, options).to_string();
  EXPECT_NE(text.find("would fit"), std::string::npos) << text;
  EXPECT_NE(text.find("with a Q8_0 cache"), std::string::npos) << text;
}

TEST_P(PlanTest, AContextBeyondTheModelNeedsARopeDecision) {
  const auto model = test::small_model("llama");
  LoadOptions options = test::options_for(GetParam());
  options.run.context = model->spec().context_length + 1;
  EXPECT_THROW(plan_memory(*model, options), Error);
  RopeScaling yarn;
  yarn.kind = RopeScaling::Kind::yarn;
  yarn.factor = 4;
  yarn.original_context = model->spec().context_length;
  options.run.rope_scaling = yarn;
  EXPECT_EQ(plan_memory(*model, options).context, model->spec().context_length + 1);
}

TEST_P(PlanTest, SenselessOptionsAreRefused) {
  const auto model = test::small_model("llama");
  const auto refused = [&](auto change) {
    LoadOptions options = test::options_for(GetParam());
    change(options);
    EXPECT_THROW(plan_memory(*model, options), Error);
  };
  refused([](LoadOptions& o) { o.max_sequences = 0; });
  refused([](LoadOptions& o) { o.max_step_tokens = 0; });
  refused([](LoadOptions& o) { o.run.context = -1; });
  refused([](LoadOptions& o) { o.cache.key = DType::Q4_K; });
  refused([](LoadOptions& o) { o.device = "abacus"; });
}

INSTANTIATE_TEST_SUITE_P(Devices, PlanTest, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

}  // namespace
}  // namespace ingot
