// Architectures refuse by name what they do not implement: a model that is almost computed writes
// text that looks right.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "src/arch/architecture.hpp"
#include "tests/support/changed_model.hpp"

namespace ingot::internal {
namespace {

using test::changed_model;
using test::ModelChanges;

Program program_of(const std::shared_ptr<const GgufFile>& file, const RunOptions& options = {}) {
  return build_program(find_architecture(*file).read_spec(*file), *file, options);
}

void expect_refused(const std::string& model, const ModelChanges& changes,
                    const std::string& part) {
  try {
    program_of(changed_model(model, changes));
    FAIL() << model << ": expected an Error with \"" << part << "\"";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

template <class T>
ModelChanges with(const std::string& key, T value) {
  return {.metadata = [=](GgufWriter& writer) { writer.set(key, value); }};
}

ModelChanges without(const std::string& key) {
  return {.metadata = [=](GgufWriter& writer) { writer.erase(key); }};
}

TEST(Granite, NeedsItsLogitScale) {
  expect_refused("granite", without("granite.logit_scale"), "granite.logit_scale");
  expect_refused("granite", with("granite.logit_scale", 0.0F), "granite.logit_scale");
  expect_refused("granite", with("granite.residual_scale", -1.0F), "granite.residual_scale");
}

TEST(Granite, UnknownScalingExpertsAndMissingTensorsAreNamed) {
  expect_refused("granite", with("granite.rope.scaling.type", std::string("longrope")), "longrope");
  expect_refused("granite", with("granite.expert_count", std::uint32_t{8}), "8 experts");
  expect_refused("granite", {.without_tensors = {"blk.1.ffn_up.weight"}}, "blk.1.ffn_up.weight");
  expect_refused("granite", {.half_rows = {"blk.0.attn_k.weight"}}, "blk.0.attn_k.weight");
}

TEST(Granite, WithoutPositionalEncodingNothingTurns) {
  const Program program =
      program_of(changed_model("granite", with("granite.rope.scaling.finetuned", false)));
  for (const Instruction& instruction : program.instructions) {
    EXPECT_FALSE(std::holds_alternative<ops::Rope>(instruction));
  }
}

TEST(Gemma3, SoftCapsAndMissingWindowsAreNamed) {
  expect_refused("gemma3", with("gemma3.final_logit_softcapping", 30.0F),
                 "final_logit_softcapping");
  expect_refused("gemma3", with("gemma3.attn_logit_softcapping", 50.0F), "attn_logit_softcapping");
  expect_refused("gemma3", without("gemma3.attention.sliding_window"), "sliding_window");
}

std::vector<std::int64_t> windows(const Program& program) {
  std::vector<std::int64_t> found;
  for (const Instruction& instruction : program.instructions) {
    if (const auto* op = std::get_if<ops::Attention>(&instruction)) found.push_back(op->window);
  }
  return found;
}

TEST(Gemma3, TheWindowPatternMayBeAPeriodOrAListAndDefaultsToSix) {
  const std::string key = "gemma3.attention.sliding_window_pattern";
  const std::int64_t w = 13;
  using Windows = std::vector<std::int64_t>;
  EXPECT_EQ(windows(program_of(changed_model("gemma3", {}))), (Windows{w, w, w, w, w, 0, w}));
  EXPECT_EQ(windows(program_of(changed_model("gemma3", with(key, std::uint32_t{3})))),
            (Windows{w, w, 0, w, w, 0, w}));
  const std::vector<bool> list = {false, true, true, true, true, true, false};
  EXPECT_EQ(windows(program_of(changed_model("gemma3", with(key, list)))),
            (Windows{0, w, w, w, w, w, 0}));
  expect_refused("gemma3", with(key, std::vector<bool>{true}), "7 layers");
  expect_refused("gemma3", with(key, std::uint32_t{0}), key);
}

TEST(Phi3, LongRopeNeedsBothOfItsFactors) {
  const std::string short_name = "rope_factors_short.weight";
  const std::string long_name = "rope_factors_long.weight";
  expect_refused("phi3", {.without_tensors = {short_name}}, short_name);
  ModelChanges named = with("phi3.rope.scaling.type", std::string("longrope"));
  named.without_tensors = {short_name, long_name};
  expect_refused("phi3", named, "longrope");
  expect_refused("phi3", with("phi3.rope.scaling.type", std::string("dynamic")), "dynamic");
  expect_refused("phi3", {.half_rows = {"blk.0.ffn_up.weight"}}, "blk.0.ffn_up.weight");
}

TEST(DeepSeek2, WhatIsMissingOrUnknownIsNamed) {
  expect_refused("deepseek3", without("deepseek2.attention.kv_lora_rank"), "kv_lora_rank");
  expect_refused("deepseek3", with("deepseek2.expert_gating_func", std::uint32_t{9}),
                 "expert_gating_func");
  expect_refused("deepseek3", with("deepseek2.attention.temperature_scale", 0.1F),
                 "temperature_scale");
  expect_refused("deepseek3", {.without_tensors = {"blk.0.attn_kv_b.weight"}}, "attn_k_b");
  expect_refused("deepseek3-split", {.without_tensors = {"blk.2.attn_v_b.weight"}},
                 "blk.2.attn_v_b.weight");
  expect_refused("deepseek3-split", {.half_rows = {"blk.1.attn_k_b.weight"}},
                 "blk.1.attn_k_b.weight");
  expect_refused("deepseek3-split", with("deepseek2.attention.key_length_mla", std::uint32_t{8}),
                 "make no sense");
  expect_refused("deepseek3", without("deepseek2.attention.q_lora_rank"), "attn_q.weight");
  expect_refused("deepseek3", without("deepseek2.expert_count"), "expert_count");
}

// DeepSeek-V2 counts a group by its best expert, V3 by its two best; only the latter is known.
TEST(DeepSeek2, ExpertGroupsAreThoseOfV3) {
  ModelChanges groups = with("deepseek2.expert_group_count", std::uint32_t{4});
  EXPECT_NO_THROW(program_of(changed_model("deepseek3", groups)));
  groups.metadata = [](GgufWriter& writer) {
    writer.set("deepseek2.expert_group_count", std::uint32_t{4});
    writer.set("deepseek2.expert_gating_func", std::uint32_t{1});
  };
  expect_refused("deepseek3", groups, "expert groups with softmax");
}

// What is cached per position is the latent and the turned columns, whatever the number of heads.
TEST(DeepSeek2, CachesTheLatentOnce) {
  for (const std::string name : {"deepseek3", "deepseek3-split"}) {
    const Program program = program_of(changed_model(name, {}));
    ASSERT_EQ(program.states.size(), 4U);
    for (const StateSpec& state : program.states) {
      EXPECT_TRUE(state.values_in_keys);
      EXPECT_EQ(state.kv_head_count * state.key_size, 40 + 8);
    }
  }
}

TEST(LongRope, CannotBeAskedOfAModelWithoutFactors) {
  RunOptions options;
  options.rope_scaling = RopeScaling{.kind = RopeScaling::Kind::longrope};
  EXPECT_THROW(program_of(changed_model("llama", {}), options), Error);
  EXPECT_NO_THROW(program_of(changed_model("phi3", {}), options));
}

// Experts that cannot be chosen, or tensors that are not those of the stated experts.
TEST(Experts, CountsThatMakeNoSenseAreNamed) {
  for (const std::string model : {"qwen3moe", "gpt-oss", "qwen2moe"}) {
    const auto count = [&model](const std::string& key, std::uint32_t value) {
      return with(model + "." + key, value);
    };
    expect_refused(model, count("expert_used_count", 9), "expert_used_count is 9");
    expect_refused(model, count("expert_used_count", 0), "expert_used_count is 0");
    expect_refused(model, without(model + ".expert_used_count"), "expert_used_count");
    expect_refused(model, count("expert_count", 0), "expert_count");
    expect_refused(model, count("expert_count", 0x80000000U), "expert_count is 2147483648");
    expect_refused(model, with(model + ".expert_count", std::int32_t{-1}), "expert_count is -1");
    expect_refused(model, count("expert_count", 16), "blk.0.ffn_gate_inp.weight");
    expect_refused(model, count("expert_feed_forward_length", 7), "blk.0.ffn_gate_exps.weight");
  }
}

TEST(Experts, MoreExpertsPerTokenThanIndicesCanCountAreRefused) {
  const ModelChanges many = {.metadata = [](GgufWriter& writer) {
    writer.set("qwen3moe.expert_count", std::uint32_t{1024});
    writer.set("qwen3moe.expert_used_count", std::uint32_t{257});
  }};
  expect_refused("qwen3moe", many, "at most 256");
}

TEST(Experts, MissingOrCutTensorsAreNamed) {
  for (const std::string model : {"mixtral", "qwen2moe", "qwen3moe", "gpt-oss"}) {
    for (const std::string tensor : {"ffn_gate_inp.weight", "ffn_gate_exps.weight",
                                     "ffn_up_exps.weight", "ffn_down_exps.weight"}) {
      const std::string name = "blk.1." + tensor;
      expect_refused(model, {.without_tensors = {name}}, name);
      // What is cut of a tensor of three dimensions is the second one.
      if (tensor.find("exps") == std::string::npos) {
        expect_refused(model, {.half_rows = {name}}, name);
      }
    }
  }
  expect_refused("gpt-oss", {.without_tensors = {"blk.2.attn_sinks.weight"}}, "attn_sinks");
  expect_refused("gpt-oss", {.without_tensors = {"blk.2.ffn_up_exps.bias"}}, "ffn_up_exps.bias");
  expect_refused("gpt-oss", {.without_tensors = {"blk.2.ffn_gate_inp.bias"}}, "ffn_gate_inp.bias");
  expect_refused("qwen2moe", {.without_tensors = {"blk.0.ffn_gate_inp_shexp.weight"}},
                 "ffn_gate_inp_shexp");
  expect_refused("qwen2moe", with("qwen2moe.expert_shared_feed_forward_length", std::uint32_t{81}),
                 "ffn_gate_shexp");
}

TEST(Experts, GatingThatIsNotKnownIsNamed) {
  expect_refused("qwen3moe", with("qwen3moe.expert_gating_func", std::uint32_t{4}),
                 "expert_gating_func is 4");
  expect_refused("qwen3moe", with("qwen3moe.expert_weights_scale", std::nanf("")),
                 "expert_weights_scale");
  expect_refused("qwen3moe", with("qwen3moe.expert_group_count", std::uint32_t{3}), "groups");
  const ModelChanges one_of_eight = {.metadata = [](GgufWriter& writer) {
    writer.set("qwen3moe.expert_group_count", std::uint32_t{8});
    writer.set("qwen3moe.expert_group_used_count", std::uint32_t{1});
  }};
  expect_refused("qwen3moe", one_of_eight, "3 of 8 experts cannot be chosen from 1 of 8 groups");
}

const ops::Route& first_route(const Program& program) {
  for (const Instruction& instruction : program.instructions) {
    if (const auto* route = std::get_if<ops::Route>(&instruction)) return *route;
  }
  throw std::logic_error("the program has no route");
}

// What a file says about the choice counts over what the architecture assumes.
TEST(Experts, AFileDecidesHowItsExpertsAreChosen) {
  const ops::Route silent = first_route(program_of(changed_model("qwen2moe", {})));
  EXPECT_EQ(silent.gate, ops::Gate::softmax);
  EXPECT_FALSE(silent.normalise);
  const ops::Route told = first_route(
      program_of(changed_model("qwen2moe", {.metadata = [](GgufWriter& writer) {
                                 writer.set("qwen2moe.expert_weights_norm", true);
                                 writer.set("qwen2moe.expert_weights_scale", 2.5F);
                                 writer.set("qwen2moe.expert_gating_func", std::uint32_t{2});
                               }})));
  EXPECT_EQ(told.gate, ops::Gate::sigmoid);
  EXPECT_TRUE(told.normalise);
  EXPECT_EQ(told.scale, 2.5);
  EXPECT_TRUE(first_route(program_of(changed_model(
                              "qwen2moe", with("qwen2moe.expert_gating_func", std::uint32_t{3}))))
                  .normalise);
}

}  // namespace
}  // namespace ingot::internal
