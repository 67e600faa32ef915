// What a caller decides about RoPE: refused by name when it makes no sense, and equal to a file
// that states the same.
#include <cmath>
#include <limits>

#include "tests/support/golden.hpp"

namespace ingot {
namespace {

using Kind = RopeScaling::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The message with which the options are refused, by whoever looks at them.
std::string refusal(const std::string& model, const RunOptions& run) {
  const auto opened = test::small_model(model);
  std::string text;
  for (const int way : {0, 1, 2}) {
    try {
      LoadOptions load = test::options_for("reference");
      load.run = run;
      if (way == 0) opened->program_text(run);
      if (way == 1) plan_memory(*opened, load);
      if (way == 2) Executable::load(opened, load);
      ADD_FAILURE() << "way " << way << " accepts it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
      text = error.what();
    }
  }
  return text;
}

TEST(RopeOptions, BasesWithoutMeaningAreRefusedByName) {
  for (const double base : {0.0, -5.0, 1.0, 0.5, std::nan(""), kInfinity, -kInfinity}) {
    RunOptions run;
    run.rope_base = base;
    for (const char* model : {"llama", "gemma3", "deepseek3", "gpt-oss"}) {
      EXPECT_NE(refusal(model, run).find("rope_base"), std::string::npos) << base;
    }
  }
}

TEST(RopeOptions, ScalingsWithoutMeaningAreRefusedByName) {
  const auto expect = [](const RopeScaling& scaling, const std::string& field) {
    RunOptions run;
    run.rope_scaling = scaling;
    const std::string text = refusal("qwen2", run);
    EXPECT_NE(text.find("rope_scaling." + field), std::string::npos) << text;
  };
  for (const Kind kind : {Kind::none, Kind::linear, Kind::yarn}) {
    const RopeScaling good{.kind = kind, .factor = 4, .original_context = 32};
    for (const double value : {0.0, -2.0, std::nan(""), kInfinity, -kInfinity}) {
      RopeScaling bad = good;
      bad.factor = value;
      expect(bad, "factor");
      bad = good;
      bad.attention_factor = value;
      expect(bad, "attention_factor");
      bad = good;
      bad.beta_fast = value;
      expect(bad, "beta_fast");
      bad = good;
      bad.beta_slow = value;
      expect(bad, "beta_slow");
    }
    RopeScaling inverse = good;
    inverse.factor = 0.25;
    expect(inverse, "factor");
    for (const std::int64_t context :
         {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), std::int64_t{1} << 31}) {
      RopeScaling bad = good;
      bad.original_context = context;
      expect(bad, "original_context");
    }
  }
  expect({.kind = Kind::yarn, .factor = 4, .beta_fast = 1, .beta_slow = 32}, "beta_fast");
  expect({.kind = static_cast<Kind>(9), .factor = 4}, "kind");
}

/// Logits with the options, of the golden tokens.
std::vector<float> logits_with(const std::shared_ptr<const Model>& model, const RunOptions& run) {
  LoadOptions options = test::options_for("reference");
  options.run = run;
  Session session(Executable::load(model, options));
  return test::all_logits(session, session.open(), test::golden_tokens());
}

// An original context that is not given is the model's own.
TEST(RopeOptions, TheOriginalContextIsTheModelsUnlessGiven) {
  RunOptions silent;
  silent.rope_scaling = RopeScaling{.kind = Kind::yarn, .factor = 4};
  RunOptions stated = silent;
  stated.rope_scaling->original_context = test::small_model("qwen2")->spec().context_length;
  const auto model = test::small_model("qwen2");
  EXPECT_EQ(model->program_text(silent), model->program_text(stated));
  EXPECT_TRUE(logits_with(model, silent) == logits_with(model, stated));
}

// gpt-oss's ramp stays as its publisher has it when its factor or context is set by hand.
TEST(RopeOptions, WhetherTheRampIsRoundedIsTheArchitecturesUnlessGiven) {
  const auto model = test::small_model("gpt-oss");
  RunOptions same;
  same.rope_scaling = RopeScaling{.kind = Kind::yarn, .factor = 32, .original_context = 32};
  const auto golden = test::golden_logits("gpt-oss");
  EXPECT_LE(test::relative_error(logits_with(model, same), golden, 512).worst_row, 1e-5);
  same.rope_scaling->truncate = true;
  EXPECT_GE(test::relative_error(logits_with(model, same), golden, 512).worst_row, 1e-3);
  EXPECT_EQ(test::small_model("qwen2")->spec().rope_scaling.truncate, true);
  EXPECT_EQ(model->spec().rope_scaling.truncate, false);
}

// Beyond the trained context only with a change of RoPE, and then the context is given.
TEST(RopeOptions, ALongerContextNeedsAChangeOfRope) {
  const auto model = test::small_model("qwen2");
  LoadOptions options = test::options_for("cpu");
  options.run.context = 4 * model->spec().context_length;
  try {
    plan_memory(*model, options);
    FAIL() << "expected a refusal";
  } catch (const Error& error) {
    for (const char* part : {"4096", "16384", "--rope-scaling", "--rope-factor", "--rope-base"}) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  options.run.rope_scaling = RopeScaling{.kind = Kind::yarn, .factor = 4};
  EXPECT_EQ(plan_memory(*model, options).context, options.run.context);
}

}  // namespace
}  // namespace ingot
