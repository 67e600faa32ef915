// Planning: exact bytes, the default context, and refusals before anything is allocated.
#include "ingot/gguf_writer.hpp"
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

// Eight layers of eight KV heads with 1024 elements: 512 KiB of an f32 cache per position.
std::shared_ptr<const Model> wide_cache_model() {
  GgufWriter writer;
  writer.set("general.architecture", "llama");
  const auto set = [&](const char* key, std::uint32_t value) {
    writer.set(std::string("llama.") + key, value);
  };
  constexpr std::uint32_t kLayers = 8;
  set("block_count", kLayers);
  set("context_length", 1U << 30);
  set("embedding_length", 32);
  set("feed_forward_length", 32);
  set("attention.head_count", 8);
  set("attention.head_count_kv", 8);
  set("attention.key_length", 1024);
  set("attention.value_length", 1024);
  set("rope.dimension_count", 1024);
  writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    const DType type = shape.size() == 1 ? DType::F32 : DType::Q4_0;
    std::uint64_t bytes = row_bytes(type, shape[0]);
    if (shape.size() > 1) bytes *= static_cast<std::uint64_t>(shape[1]);
    writer.add_tensor(name, type, shape, std::vector<std::byte>(bytes));
  };
  add("token_embd.weight", {32, 64});
  add("output_norm.weight", {32});
  for (std::uint32_t i = 0; i < kLayers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    add(layer + "attn_norm.weight", {32});
    add(layer + "attn_q.weight", {32, 8192});
    add(layer + "attn_k.weight", {32, 8192});
    add(layer + "attn_v.weight", {32, 8192});
    add(layer + "attn_output.weight", {8192, 32});
    add(layer + "ffn_norm.weight", {32});
    add(layer + "ffn_gate.weight", {32, 32});
    add(layer + "ffn_up.weight", {32, 32});
    add(layer + "ffn_down.weight", {32, 32});
  }
  return Model::from_file(GgufFile::from_bytes(writer.to_bytes(), "wide cache"));
}

TEST_P(PlanTest, ACacheBeyondCountingNeverFits) {
  const auto model = wide_cache_model();
  LoadOptions options = test::options_for(GetParam(), DType::F32);
  options.run.context = std::int64_t{1} << 30;
  options.max_sequences = 4;
  const MemoryPlan large = plan_memory(*model, options);
  ASSERT_EQ(large.cache_bytes_per_token, std::uint64_t{1} << 19);
  EXPECT_EQ(large.cache_bytes, std::uint64_t{1} << 51);

  // 2^19 bytes x 2^30 positions x 2^15 sequences = 2^64, which wraps to 0; x 2^16 as well.
  for (const std::int64_t sequences : {32768, 65536, 40000}) {
    options.max_sequences = sequences;
    for (const std::uint64_t limit :
         {std::uint64_t{0}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
      options.memory_limit = limit;
      const MemoryPlan plan = plan_memory(*model, options);
      EXPECT_FALSE(plan.fits()) << sequences << " sequences, limit " << limit;
      EXPECT_EQ(plan.cache_bytes, ~std::uint64_t{0});
      EXPECT_EQ(plan.total_bytes(), ~std::uint64_t{0});
      EXPECT_NE(plan.to_string().find("more than 2^64 bytes"), std::string::npos)
          << plan.to_string();
      try {
        Executable::load(model, options);
        ADD_FAILURE() << "expected a refusal";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
      }
    }
  }
}

// What can be counted but never had: the limit says yes, the system no.
TEST_P(PlanTest, AMemoryLimitBeyondTheMachineIsRefusedWhenItIsTaken) {
  const auto model = wide_cache_model();
  LoadOptions options = test::options_for(GetParam(), DType::F32);
  options.run.context = std::int64_t{1} << 30;
  options.max_sequences = 1 << 10;
  options.memory_limit = ~std::uint64_t{0};
  ASSERT_TRUE(plan_memory(*model, options).fits());
  try {
    const Session session(Executable::load(model, options));
    ADD_FAILURE() << "2^59 bytes of cache";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
  }
}

TEST(MemoryPlan, UnknownMemoryRefusesNothingThatCanBeCounted) {
  MemoryPlan plan;
  plan.weights_bytes = std::uint64_t{1} << 62;
  plan.available_bytes = std::nullopt;
  EXPECT_TRUE(plan.fits());
  EXPECT_NE(plan.to_string().find("an unknown amount available"), std::string::npos)
      << plan.to_string();
  plan.cache_bytes = ~std::uint64_t{0};
  EXPECT_FALSE(plan.fits());
  plan.cache_bytes = std::uint64_t{3} << 62;
  EXPECT_FALSE(plan.fits()) << "the sum is 2^64";
  plan.cache_bytes = 0;
  plan.available_bytes = 0;
  EXPECT_FALSE(plan.fits()) << "nothing is left, and that is known";
}

INSTANTIATE_TEST_SUITE_P(Devices, PlanTest, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

}  // namespace
}  // namespace ingot
