// Generation step by step. If these fail, texts that share steps are not what each is alone, or the
// sampler draws another token from candidates than from all logits.
#include "ingot/generation.hpp"

#include <limits>
#include <stdexcept>
#include <thread>

#include "ingot/generate.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

using test::golden_tokens;

std::shared_ptr<const Executable> load(std::int64_t sequences = 8) {
  LoadOptions options = test::options_for("reference");
  options.run.context = 96;
  options.max_sequences = sequences;
  return Executable::load(test::small_model("qwen2"), options);
}

GenerateRequest request(std::size_t prompt, SamplerOptions sampler) {
  GenerateRequest result;
  const auto tokens = golden_tokens();
  result.prompt_ids.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(prompt));
  result.max_tokens = 24;
  result.sampler = std::move(sampler);
  result.ignore_end_of_generation = true;
  return result;
}

// What asks for all logits: the tokens are drawn as they were before there were candidates.
GenerateRequest with_all_logits(GenerateRequest wanted) {
  wanted.processors.push_back([](std::span<float>, std::span<const TokenId>) {});
  return wanted;
}

std::vector<SamplerOptions> samplers() {
  const auto with = [](auto change) {
    SamplerOptions options;
    options.temperature = 1.3;
    options.seed = 5;
    change(options);
    return options;
  };
  return {
      with([](SamplerOptions& o) { o.temperature = 0; }),
      with([](SamplerOptions&) {}),
      with([](SamplerOptions& o) { o.top_k = 1; }),
      with([](SamplerOptions& o) { o.repetition_penalty = 1.7; }),
      with([](SamplerOptions& o) {
        o.frequency_penalty = 1.5;
        o.presence_penalty = 2;
        o.penalty_window = -1;
      }),
      with([](SamplerOptions& o) {
        o.temperature = 0;
        o.repetition_penalty = 3;
      }),
      with([](SamplerOptions& o) { o.repetition_penalty = 0.5; }),
      with([](SamplerOptions& o) { o.top_k = 0; }),
      with([](SamplerOptions& o) {
        o.logit_bias = {{17, 30.0F}};
      }),
  };
}

TEST(Generation, DrawsTheSameFromCandidatesAsFromAllLogits) {
  Session session(load());
  for (const SamplerOptions& sampler : samplers()) {
    const GenerateRequest wanted = request(20, sampler);
    EXPECT_EQ(generate(session, wanted).ids, generate(session, with_all_logits(wanted)).ids);
  }
}

TEST(SamplerNeed, IsWhatTheChainCanTell) {
  using Kind = SamplerChain::Need::Kind;
  const auto need = [](const SamplerOptions& options, std::size_t seen = 0) {
    SamplerChain chain(options);
    for (std::size_t i = 0; i < seen; ++i) chain.accept(static_cast<TokenId>(i));
    return chain.need();
  };
  SamplerOptions options;
  EXPECT_EQ(need(options).kind, Kind::candidates);
  EXPECT_EQ(need(options).count, 40);
  options.repetition_penalty = 1.1;
  EXPECT_EQ(need(options, 10).count, 50);
  EXPECT_EQ(need(options, 1000).count, 40 + 64) << "the window bounds what can be demoted";
  options.repetition_penalty = 0.9;
  EXPECT_EQ(need(options, 10).kind, Kind::logits);
  options = {};
  options.temperature = 0;
  EXPECT_EQ(need(options).kind, Kind::best);
  EXPECT_EQ(SamplerChain(std::vector<SamplerPart>{}).need().kind, Kind::logits);
}

// Eight texts in shared steps, each as it is alone.
TEST(Generation, SharedStepsGiveEachItsOwnText) {
  const auto executable = load();
  std::vector<GenerateRequest> wanted;
  for (const SamplerOptions& sampler : samplers()) {
    if (wanted.size() == 8) break;
    wanted.push_back(request(3 + 5 * wanted.size(), sampler));
    wanted.back().max_tokens = static_cast<std::int64_t>(10 + wanted.size());
  }
  wanted[2].log_probabilities = true;
  wanted[2].top_log_probabilities = 2;
  std::vector<GenerateResult> alone;
  for (const GenerateRequest& one : wanted) {
    Session session(executable);
    alone.push_back(generate(session, one));
  }
  for (const std::int64_t part : {0, 4}) {
    Session session(executable);
    std::vector<Generation> generations;
    for (const GenerateRequest& one : wanted) generations.emplace_back(session, one);
    std::vector<Generation*> all;
    for (Generation& generation : generations) all.push_back(&generation);
    std::size_t steps = 0;
    while (advance(session, all, {}, part) > 0) ++steps;
    EXPECT_LE(steps, 18U + (part == 0 ? 0U : 10U));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(generations[i].result().ids, alone[i].ids) << i;
      EXPECT_EQ(generations[i].result().text, alone[i].text) << i;
    }
    EXPECT_EQ(generations[2].result().log_probabilities.size(), alone[2].ids.size());
    EXPECT_NO_THROW((void)session.open()) << "their sequences are closed";
  }
}

TEST(Generation, EventsTellTheWholeStory) {
  Session session(load());
  Generation generation(session, request(20, {.temperature = 0}));
  EXPECT_EQ(generation.prompt_tokens(), 20);
  EXPECT_EQ(generation.prompt_tokens_done(), 0);
  advance(session, {&generation}, {}, 12);
  EXPECT_EQ(generation.prompt_tokens_done(), 12);
  EXPECT_FALSE(generation.poll().has_value());
  while (!generation.finished()) advance(session, {&generation});
  std::vector<TokenId> ids;
  std::string text;
  int ends = 0;
  while (const auto event = generation.poll()) {
    EXPECT_EQ(ends, 0) << "nothing follows the end";
    switch (event->kind) {
      case GenerationEvent::Kind::token:
        EXPECT_EQ(event->index, std::ssize(ids));
        ids.push_back(event->id);
        break;
      case GenerationEvent::Kind::text: text += event->text; break;
      case GenerationEvent::Kind::finished:
        ++ends;
        EXPECT_EQ(event->reason, FinishReason::length);
        break;
    }
  }
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(ids, generation.result().ids);
  EXPECT_EQ(text, generation.result().text);
  EXPECT_EQ(advance(session, {&generation}), 0U);
  EXPECT_THROW((void)generation.next(), Error);
}

TEST(Generation, ProcessorsWriteTheLogitsInOrder) {
  Session session(load());
  GenerateRequest wanted = request(20, {.temperature = 0});
  const TokenId favourite = generate(session, wanted).ids.front();
  std::vector<std::size_t> lengths;
  wanted.processors = {[&](std::span<float> logits, std::span<const TokenId> ids) {
                         lengths.push_back(ids.size());
                         EXPECT_EQ(ids.front(), golden_tokens().front());
                         logits[static_cast<std::size_t>(favourite)] =
                             -std::numeric_limits<float>::infinity();
                         logits[300] = 1e6F;
                       },
                       [](std::span<float> logits, std::span<const TokenId>) {
                         EXPECT_EQ(logits[300], 1e6F);
                         logits[300] = -std::numeric_limits<float>::infinity();
                         logits[301] = 1e6F;
                       }};
  wanted.max_tokens = 3;
  EXPECT_EQ(generate(session, wanted).ids, (std::vector<TokenId>{301, 301, 301}));
  EXPECT_EQ(lengths, (std::vector<std::size_t>{20, 21, 22}));
  wanted.processors = {LogitsProcessor()};
  EXPECT_THROW(generate(session, wanted), Error);
  wanted.processors = {[](std::span<float>, std::span<const TokenId>) -> void {
    throw std::runtime_error("grammar");
  }};
  EXPECT_THROW(generate(session, wanted), std::runtime_error);
  for (int i = 0; i < 8; ++i) EXPECT_NO_THROW((void)session.open());
}

// Log-probabilities are the model's own: no processor, penalty or bias changes them.
TEST(Generation, LogProbabilitiesAreTheModelsOwn) {
  Session session(load());
  GenerateRequest wanted = request(20, {.temperature = 0});
  wanted.log_probabilities = true;
  wanted.max_tokens = 1;
  const GenerateResult plain = generate(session, wanted);
  wanted.processors = {[&](std::span<float> logits, std::span<const TokenId>) {
    for (float& logit : logits) logit = logit * 0.5F;
  }};
  const GenerateResult halved = generate(session, wanted);
  EXPECT_EQ(halved.ids, plain.ids);
  EXPECT_EQ(halved.log_probabilities[0].chosen.log_probability,
            plain.log_probabilities[0].chosen.log_probability);
}

// A prompt that was cancelled half-way goes on where it was.
TEST(Generation, ACancelledPromptGoesOn) {
  LoadOptions options = test::options_for("reference");
  options.run.context = 96;
  options.max_step_tokens = 4;
  const auto executable = Executable::load(test::small_model("qwen2"), options);
  const GenerateRequest wanted = request(30, {.temperature = 0});
  Session plain(executable);
  const auto expected = generate(plain, wanted).ids;

  Session session(executable);
  Generation generation(session, wanted);
  StepOptions stopping;
  stopping.cancel = Cancel();
  stopping.progress = [&](std::string_view, std::uint64_t done, std::uint64_t) {
    if (done >= 12) stopping.cancel.request();
  };
  try {
    advance(session, {&generation}, stopping);
    FAIL() << "it was not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  EXPECT_EQ(generation.prompt_tokens_done(), 12);
  std::uint64_t left = 0;
  StepOptions counting;
  counting.progress = [&](std::string_view, std::uint64_t, std::uint64_t total) { left = total; };
  advance(session, {&generation}, counting);
  EXPECT_EQ(left, 18U) << "only the rest is computed";
  while (!generation.finished()) advance(session, {&generation});
  EXPECT_EQ(generation.result().ids, expected);
  EXPECT_EQ(generation.result().timings.prompt_tokens, 30);
}

// Outputs of a cancelled step are lost, also those of texts whose tokens were computed by then.
TEST(Generation, TextsGoOnAfterACancelledStepThatTheyShared) {
  LoadOptions options = test::options_for("reference");
  options.run.context = 96;
  options.max_sequences = 3;
  options.max_step_tokens = 2;
  const auto executable = Executable::load(test::small_model("qwen2"), options);
  const std::vector<GenerateRequest> wanted = {request(1, {.temperature = 0}),
                                               request(3, {.temperature = 0}),
                                               request(12, {.temperature = 1.2, .seed = 4})};
  Session session(executable);
  std::vector<std::vector<TokenId>> expected;
  for (const GenerateRequest& one : wanted) expected.push_back(generate(session, one).ids);

  std::vector<Generation> texts;
  for (const GenerateRequest& one : wanted) texts.emplace_back(session, one);
  const std::vector<Generation*> all = {&texts[0], &texts[1], &texts[2]};
  // The first of these steps is prompts, the others are one token each in two parts.
  for (const std::uint64_t stop_at : {6U, 2U, 2U}) {
    StepOptions stopping;
    stopping.cancel = Cancel();
    stopping.progress = [&](std::string_view, std::uint64_t done, std::uint64_t) {
      if (done >= stop_at) stopping.cancel.request();
    };
    EXPECT_THROW(ingot::advance(session, all, stopping), Error);
    EXPECT_EQ(ingot::advance(session, all), 3U);
  }
  while (ingot::advance(session, all) > 0) {
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i].result().ids, expected[i]) << i;
  }
}

TEST(Generation, AThrowingProcessorEndsItsOwnTextAlone) {
  Session session(load());
  GenerateRequest throwing = request(5, {.temperature = 0});
  throwing.processors = {[](std::span<float>, std::span<const TokenId> ids) {
    if (ids.size() >= 7) throw std::runtime_error("enough");
  }};
  const GenerateRequest other = request(9, {.temperature = 0});
  const auto expected = generate(session, other).ids;
  Generation first(session, throwing);
  Generation second(session, other);
  ingot::advance(session, {&first, &second});
  ingot::advance(session, {&first, &second});
  EXPECT_THROW(ingot::advance(session, {&first, &second}), std::runtime_error);
  EXPECT_TRUE(first.finished());
  EXPECT_EQ(first.result().finish_reason, FinishReason::cancelled);
  EXPECT_EQ(second.result().ids.size(), 3U) << "it took what the step computed for it";
  while (ingot::advance(session, {&first, &second}) > 0) {
  }
  EXPECT_EQ(second.result().ids, expected);
}

TEST(Generation, CancelEndsItAndKeepsItsText) {
  Session session(load());
  Generation generation(session, request(20, {.temperature = 0}));
  advance(session, {&generation});
  advance(session, {&generation});
  generation.cancel();
  generation.cancel();
  EXPECT_TRUE(generation.finished());
  EXPECT_EQ(generation.result().finish_reason, FinishReason::cancelled);
  EXPECT_EQ(generation.result().ids.size(), 2U);
}

TEST(Generation, MisuseIsAnError) {
  Session session(load());
  Generation generation(session, request(20, {.temperature = 0}));
  StepResult nothing;
  EXPECT_THROW(generation.take(nothing), Error) << "next() was not called";
  (void)generation.next();
  EXPECT_THROW(generation.take(nothing), Error) << "not its step's result";
  EXPECT_THROW((void)generation.next(-1), Error);
  EXPECT_THROW(advance(session, {nullptr}), Error);
  Generation moved = std::move(generation);
  EXPECT_THROW((void)generation.finished(), Error);
  EXPECT_FALSE(moved.finished());
  GenerateRequest elsewhere = request(20, {.temperature = 0});
  Session other(load());
  elsewhere.sequence = other.open();
  EXPECT_THROW(Generation(session, elsewhere), Error);
}

}  // namespace
}  // namespace ingot
