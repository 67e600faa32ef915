// Null pointers, empty functions and objects that were moved from: each public function that can be
// handed one answers with Error invalid_argument.
#include <gtest/gtest.h>

#include "ingot/ingot.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

template <class Call>
void expect_invalid(const std::string& what, Call call) {
  try {
    call();
    ADD_FAILURE() << what << ": no Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << what << ": " << error.what();
    EXPECT_NE(std::string(error.what()), "") << what;
  }
}

std::shared_ptr<const Executable> small_executable() {
  LoadOptions options = test::options_for("cpu");
  options.run.context = 64;
  return Executable::load(test::small_model("llama"), options);
}

TEST(ApiArguments, NullPointersAreRefusedByName) {
  expect_invalid("Model::from_file", [] { Model::from_file(nullptr); });
  expect_invalid("Executable::load", [] { Executable::load(nullptr, {}); });
  expect_invalid("Session", [] { const Session session(nullptr); });
  expect_invalid("Tokenizer::from_gguf", [] { Tokenizer::from_gguf(nullptr); });
  expect_invalid("StreamingDetokenizer", [] { const StreamingDetokenizer text(nullptr); });
  const std::vector<TokenId> tokens = {1, 2};
  expect_invalid("compare_devices", [&] {
    compare_devices(nullptr, tokens, test::options_for("cpu"), test::options_for("reference"));
  });
  expect_invalid("compare_devices without tokens", [&] {
    compare_devices(nullptr, {}, test::options_for("cpu"), test::options_for("reference"));
  });
  GgufWriter writer;
  expect_invalid("GgufWriter::add_tensor",
                 [&] { writer.add_tensor("x", DType::F32, {4}, GgufWriter::Source()); });
  const char* no_text = nullptr;
  expect_invalid("GgufWriter::set", [&] { writer.set("key", no_text); });
  EXPECT_NO_THROW(writer.to_bytes());
  try {
    Executable::load(nullptr, {});
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("Executable::load needs a model"), std::string::npos)
        << error.what();
  }
}

TEST(ApiArguments, EmptyFunctionsAreNoFunctions) {
  // Optional ones are left out.
  const auto executable = small_executable();
  Session session(executable);
  session.set_tap(Tap());
  session.set_tap(nullptr);
  LoadOptions options = test::options_for("cpu");
  options.compile.progress = nullptr;
  options.compile.host_executor = nullptr;
  EXPECT_NO_THROW(Executable::load(test::small_model("llama"), options));
  const SequenceId sequence = session.open();
  const std::vector<TokenId> tokens = {1, 2, 3};
  EXPECT_NO_THROW(session.step({{sequence, tokens}}, {.progress = nullptr}));
  session.close(sequence);
  GenerateRequest request;
  request.prompt_ids = tokens;
  request.max_tokens = 2;
  EXPECT_NO_THROW(
      generate(session, request, {.on_text = nullptr, .on_token = nullptr, .progress = nullptr}));

  // Where one is needed, it is asked for when the chain is made, not when it draws.
  expect_invalid("SamplerChain", [] { const SamplerChain chain({SamplerPart()}, 1); });
  expect_invalid("SamplerChain behind a good part", [] {
    const SamplerChain chain(std::vector<SamplerPart>{TopK(3), SamplerPart(nullptr)}, 1);
  });
}

TEST(ApiArguments, ASessionThatWasMovedFromOnlyTakesAnother) {
  Session first(small_executable());
  const SequenceId sequence = first.open();
  Session second(std::move(first));
  EXPECT_NO_THROW(second.position(sequence)) << "the new one has the sequences";

  const std::vector<TokenId> tokens = {1, 2};
  expect_invalid("executable", [&] { first.executable(); });
  expect_invalid("context", [&] { first.context(); });
  expect_invalid("open", [&] { first.open(); });
  expect_invalid("fork", [&] { first.fork(sequence); });
  expect_invalid("close", [&] { first.close(sequence); });
  expect_invalid("position", [&] { first.position(sequence); });
  expect_invalid("tokens", [&] { first.tokens(sequence); });
  expect_invalid("rewind", [&] { first.rewind(sequence, 0); });
  expect_invalid("step", [&] { first.step({{sequence, tokens}}); });
  expect_invalid("step of nothing", [&] { first.step(std::span<const StepRequest>()); });
  expect_invalid("free_positions", [&] { first.free_positions(); });
  expect_invalid("save", [&] { first.save(sequence, "/nowhere/at/all"); });
  expect_invalid("restore", [&] { first.restore("/nowhere/at/all"); });
  expect_invalid("set_tap", [&] { first.set_tap({}); });
  GenerateRequest request;
  request.prompt_ids = tokens;
  expect_invalid("generate", [&] { generate(first, request); });
  request.sequence = sequence;
  expect_invalid("generate in a sequence", [&] { generate(first, request); });

  Session third = std::move(second);
  expect_invalid("moved once more", [&] { second.open(); });
  first = std::move(third);
  EXPECT_NO_THROW(first.step({{sequence, tokens}}));
  Session empty = std::move(third);  // moving nothing is allowed
  expect_invalid("the inside of nothing", [&] { empty.context(); });
  EXPECT_NO_THROW(third = std::move(empty));
}

TEST(ApiArguments, OtherMovedObjectsSayWhatIsWrongToo) {
  const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(
      std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf"));
  StreamingDetokenizer first(tokenizer);
  StreamingDetokenizer second = std::move(first);
  EXPECT_NO_THROW(second.push(70));
  expect_invalid("StreamingDetokenizer::push", [&] { first.push(70); });
  EXPECT_EQ(first.finish(), "");

  // A moved chain or writer is an empty one.
  SamplerChain chain(SamplerOptions{.temperature = 0});
  const SamplerChain moved = std::move(chain);
  const std::vector<float> logits = {0, 1};
  EXPECT_NO_THROW(chain.sample(logits));
  GgufWriter writer;
  writer.set("a", 1);
  const GgufWriter other = std::move(writer);
  EXPECT_NO_THROW(writer.to_bytes());
  Candidates candidates(logits);
  const Candidates taken = std::move(candidates);
  expect_invalid("Candidates::best", [&] { candidates.best(); });
  expect_invalid("Candidates::best of none", [] { Candidates().best(); });
}

TEST(ApiArguments, RowsThatAreNotThereAreRefused) {
  Session session(small_executable());
  const std::vector<TokenId> tokens = {1, 2, 3};
  const StepResult result = session.step({{session.open(), tokens}});
  EXPECT_EQ(result.logits(0).size(), 512U);
  for (const std::int64_t row : {std::int64_t{-1}, std::int64_t{1}, std::int64_t{1} << 62}) {
    expect_invalid("logits " + std::to_string(row), [&] { result.logits(row); });
    expect_invalid("hidden " + std::to_string(row), [&] { result.hidden(row); });
    expect_invalid("candidates " + std::to_string(row), [&] { result.candidates(row); });
    expect_invalid("id " + std::to_string(row), [&] { result.id(row); });
    expect_invalid("want " + std::to_string(row), [&] { result.want(row); });
    expect_invalid("not_finite " + std::to_string(row), [&] { result.not_finite(row); });
  }
  expect_invalid("first_row", [&] { result.first_row(2); });
  expect_invalid("a row of nothing", [] { StepResult().logits(0); });
}

TEST(ApiArguments, GenerationsThatWereMovedFromOrAreNull) {
  Session session(small_executable());
  GenerateRequest request;
  request.prompt_ids = {1, 2, 3};
  request.max_tokens = 2;
  Generation first(session, request);
  Generation second = std::move(first);
  const StepResult result;
  expect_invalid("finished", [&] { first.finished(); });
  expect_invalid("next", [&] { first.next(); });
  expect_invalid("take", [&] { first.take(result, 0); });
  expect_invalid("cancel", [&] { first.cancel(); });
  expect_invalid("poll", [&] { first.poll(); });
  expect_invalid("result", [&] { first.result(); });
  expect_invalid("sequence", [&] { first.sequence(); });
  expect_invalid("prompt_tokens", [&] { first.prompt_tokens(); });
  expect_invalid("prompt_tokens_done", [&] { first.prompt_tokens_done(); });
  expect_invalid("advance", [&] { advance(session, {&first}); });
  expect_invalid("advance of null", [&] { advance(session, {&second, nullptr}); });
  request.processors = {LogitsProcessor()};
  second.cancel();
  expect_invalid("an empty processor", [&] { const Generation third(session, request); });
  EXPECT_NO_THROW(session.close(session.open())) << "the slot is free";
}

// A callback may do anything to the session it is called from; the program must stay.
TEST(ApiArguments, CallbacksThatTakeTheSessionAwayEndInAnError) {
  const auto executable = small_executable();
  const std::vector<TokenId> tokens = {1, 2, 3};
  GenerateRequest request;
  request.prompt_ids = tokens;
  request.max_tokens = 5;
  request.ignore_end_of_generation = true;
  std::optional<Session> away;
  Session session(executable);
  expect_invalid("moved by a callback", [&] {
    generate(session, request, {.on_token = [&](const GeneratedToken&) {
               away.emplace(std::move(session));
               return true;
             }});
  });
  Session other(executable);
  request.sequence = other.open();
  expect_invalid("sequence closed by a callback", [&] {
    generate(other, request, {.on_token = [&](const GeneratedToken&) {
               other.close(*request.sequence);
               return true;
             }});
  });
  request.sequence.reset();
  EXPECT_NO_THROW(generate(other, request));
}

TEST(ApiArguments, UnknownDevicesAndNumbersOutsideTheirRange) {
  const auto model = test::small_model("llama");
  LoadOptions options = test::options_for("");
  expect_invalid("device", [&] { Executable::load(model, options); });
  expect_invalid("plan", [&] { plan_memory(*model, options); });
  expect_invalid("program_text", [&] { model->program_text({}, "abacus"); });
  for (const int threads : {-1, 4097, std::numeric_limits<int>::max()}) {
    options = test::options_for("cpu");
    options.compile.threads = threads;
    expect_invalid("threads " + std::to_string(threads), [&] { Executable::load(model, options); });
  }
  expect_invalid("to_string", [] { static_cast<void>(to_string(static_cast<DType>(999))); });
  std::vector<float> values(32);
  std::vector<std::byte> bytes(34);
  expect_invalid("quantize", [&] { quantize(static_cast<DType>(999), values, bytes); });
  expect_invalid("dequantize", [&] { dequantize(static_cast<DType>(999), bytes, values); });
}

}  // namespace
}  // namespace ingot
