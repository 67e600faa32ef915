// Memory runs out at each allocation that a public function makes, one after the other: the caller
// gets Error out_of_memory every time, and whatever was open still works.
#include <gtest/gtest.h>

#include <functional>

#include "ingot/ingot.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/failing_allocations.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

std::filesystem::path nano() {
  return std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf";
}

/// Calls `call` with the first, second, third ... allocation failing until all succeed. `check`
/// looks at what is left after each failure. Returns how many allocations failed.
int exhaust(
    const std::string& what, const std::function<void()>& call,
    const std::function<void()>& check = [] {}) {
  int failures = 0;
  // Loading makes thousands of small allocations of the same kind: further on, one in 13 is tried.
  for (std::int64_t count = 0; count < 1'000'000; count += count < 400 ? 1 : 13) {
    test::fail_allocation(count);
    try {
      call();
    } catch (const Error& error) {
      const bool failed = test::stop_failing();
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory)
          << what << ", allocation " << count << ": " << error.what();
      EXPECT_TRUE(failed) << what << ", allocation " << count << ": " << error.what();
    } catch (const std::exception& error) {
      test::stop_failing();
      ADD_FAILURE() << what << ", allocation " << count << ": " << error.what();
    }
    if (!test::stop_failing()) return failures;
    ++failures;
    check();
    if (::testing::Test::HasFailure()) return failures + 1000;
  }
  ADD_FAILURE() << what << " never succeeds";
  return failures;
}

TEST(OutOfMemory, OpeningAModelAndItsTokenizer) {
  const std::filesystem::path path = test::test_data("arch/llama.gguf");
  EXPECT_GT(exhaust("Model::open", [&] { Model::open(path); }), 20);
  const auto file = GgufFile::open(path);
  std::vector<std::byte> bytes;
  EXPECT_GT(exhaust("GgufWriter",
                    [&] {
                      GgufWriter writer;
                      for (const auto& [key, value] : file->metadata()) writer.set(key, value);
                      for (const GgufTensor& tensor : file->tensors()) writer.add_tensor(tensor);
                      bytes = writer.to_bytes();
                    }),
            20);
  exhaust("GgufFile::from_bytes", [&] { GgufFile::from_bytes(bytes, "short"); });
  exhaust("GgufFile::get", [&] { file->get<std::vector<std::string>>("tokenizer.ggml.tokens"); });
  const auto model = Model::from_file(GgufFile::open(nano()));
  EXPECT_GT(exhaust("Model::tokenizer", [&] { model->tokenizer(); }), 50);
  const auto tokenizer = model->tokenizer();
  const std::string text = "def add(a, b):\n    return a + b  # \xC3\xA9\n";
  exhaust("Tokenizer::encode", [&] { tokenizer->encode(text); });
  const auto ids = tokenizer->encode(text);
  exhaust("Tokenizer::decode", [&] { tokenizer->decode(ids); });
  StreamingDetokenizer stream(tokenizer);
  exhaust("StreamingDetokenizer::push", [&] {
    for (const TokenId id : ids) stream.push(id);
  });
  exhaust("StreamingDetokenizer::finish", [&] { stream.finish(); });
  exhaust("build_fim_prompt", [&] { build_fim_prompt(*tokenizer, text, text); });
  exhaust("Model::program_text", [&] { model->program_text({}, "cpu"); });
  exhaust("devices", [] { devices(); });
  exhaust("architectures", [] { architectures(); });
}

TEST(OutOfMemory, PlanningAndLoading) {
  const auto model = test::small_model("llama");
  for (const std::string device : {"cpu", "reference"}) {
    LoadOptions options = test::options_for(device, DType::F16);
    options.run.context = 64;
    options.compile.threads = 1;
    MemoryPlan plan;
    exhaust("plan_memory", [&] { plan = plan_memory(*model, options); });
    exhaust("MemoryPlan::to_string", [&] { static_cast<void>(plan.to_string()); });
    std::shared_ptr<const Executable> executable;
    EXPECT_GT(exhaust("Executable::load", [&] { executable = Executable::load(model, options); }),
              100);
    exhaust("Session", [&] { const Session session(executable); });
    const StepOutline outline{{{4, 0}}, 1};
    exhaust("step_cost", [&] { step_cost(*executable, outline); });
  }
}

class OutOfMemoryStep : public ::testing::TestWithParam<std::string> {};

TEST_P(OutOfMemoryStep, LeavesTheSessionAsItWas) {
  LoadOptions options = test::options_for(GetParam(), DType::F16);
  options.run.context = 256;
  options.max_sequences = 3;
  options.max_step_tokens = 16;
  options.compile.threads = 1;
  Session session(Executable::load(test::small_model("llama"), options));
  const auto tokens = test::golden_tokens();
  const SequenceId first = session.open();
  session.step({{first, std::span(tokens).first(20)}});
  const auto unchanged = [&] {
    EXPECT_EQ(session.position(first), 20);
    EXPECT_EQ(session.tokens(first).size(), 20U);
  };
  // All slots can still be opened: none is lost to a call that failed.
  const auto slots_are_free = [&] {
    unchanged();
    std::vector<SequenceId> open;
    for (int i = 0; i < 2; ++i) open.push_back(session.open());
    for (const SequenceId sequence : open) session.close(sequence);
  };
  SequenceId second;
  exhaust(
      "Session::open", [&] { second = session.open(); }, slots_are_free);
  session.close(second);
  exhaust(
      "Session::fork", [&] { second = session.fork(first); }, slots_are_free);
  exhaust(
      "Session::rewind", [&] { session.rewind(first, 20); }, unchanged);

  const auto rest = std::span(tokens).subspan(20, 20);
  const auto values = [](const StepResult& of) {
    return std::vector<float>(of.values().begin(), of.values().end());
  };
  const std::vector<float> expected = values(session.step({{second, rest, Outputs::all()}}));
  session.close(second);
  exhaust(
      "Session::set_tap", [&] { session.set_tap([](const TapEvent&) {}); }, unchanged);
  session.set_tap({});
  StepResult result;
  exhaust(
      "Session::step",
      [&] {
        result = session.step({{first, rest, Outputs::all()}});
      },
      unchanged);
  EXPECT_EQ(session.position(first), 40);
  EXPECT_EQ(values(result), expected) << "the failures changed what is computed";

  const test::ScratchFolder folder;
  const std::filesystem::path saved = folder / "sequence";
  exhaust("Session::save", [&] { session.save(first, saved); });
  const auto full = [&] { EXPECT_EQ(session.position(first), 40); };
  exhaust(
      "Session::restore", [&] { second = session.restore(saved); }, full);
  EXPECT_EQ(session.position(second), 40);
  session.close(second);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_EQ(entry.path().filename(), "sequence") << "a temporary file was left";
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, OutOfMemoryStep, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

TEST(OutOfMemory, GeneratingAndSampling) {
  LoadOptions options = test::options_for("cpu");
  options.run.context = 64;
  options.compile.threads = 1;
  const auto model = Model::open(nano());
  Session session(Executable::load(model, options));
  GenerateRequest request;
  request.prompt = "def add(a, b):\n";
  request.max_tokens = 4;
  request.sampler.seed = 1;
  request.stop = {"something that does not come"};
  request.log_probabilities = true;
  request.top_log_probabilities = 3;
  const std::string expected = generate(session, request).text;
  std::string text;
  exhaust(
      "generate", [&] { text = generate(session, request).text; },
      [&] {
        const SequenceId free = session.open();  // the one slot
        session.close(free);
      });
  EXPECT_EQ(text, expected);

  const std::vector<float> logits(100, 1.0F);
  exhaust("SamplerChain", [&] {
    SamplerChain chain(request.sampler);
    chain.accept(chain.sample(logits));
  });
  exhaust("log_probabilities", [&] { log_probabilities(logits, 3, 5); });
  const auto tokens = test::golden_tokens();
  const auto small = test::small_model("llama");
  LoadOptions first = test::options_for("cpu");
  LoadOptions second = test::options_for("reference");
  first.compile.threads = second.compile.threads = 1;
  exhaust("compare_devices",
          [&] { compare_devices(small, std::span(tokens).first(3), first, second); });
}

// Sizes that no container takes are the same failure.
TEST(OutOfMemory, LengthsThatCannotBeBecomeErrorsToo) {
  const auto tokenizer = Model::open(nano())->tokenizer();
  SamplerChain chain;
  const TokenId id = 0;
  // 2^61 ids: more than a vector may ever hold. Nothing of them is read.
  const std::span<const TokenId> endless(&id, std::size_t{1} << 61);
  try {
    chain.accept(endless);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
  }
}

}  // namespace
}  // namespace ingot
