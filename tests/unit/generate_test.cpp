// Generation on a small random model, whose text is noise: every byte sequence comes up. If these
// fail, texts end in the wrong place, lose characters, or are not what the sampler drew.
#include "ingot/generate.hpp"

#include <cmath>
#include <functional>
#include <thread>

#include "src/generate/utf8.hpp"
#include "tests/support/golden.hpp"

namespace ingot::internal {
namespace {

using test::golden_tokens;

class GenerateTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kContext = 96;

  static std::shared_ptr<const Executable> executable(std::int64_t context = kContext) {
    LoadOptions options = test::options_for("reference");
    options.run.context = context;
    options.max_sequences = 2;
    return Executable::load(test::small_model("qwen2"), options);
  }

  static GenerateRequest request(std::int64_t max_tokens) {
    GenerateRequest result;
    result.prompt_ids = golden_tokens();
    result.max_tokens = max_tokens;
    result.sampler = {.temperature = 1.5, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 11};
    result.ignore_end_of_generation = true;
    return result;
  }

  static ErrorCode code_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no Error";
    return ErrorCode::internal;
  }
};

TEST_F(GenerateTest, DrawsWhatTheSamplerDrawsFromTheSessionsLogits) {
  const auto loaded = executable();
  Session session(loaded);
  GenerateRequest wanted = request(20);
  wanted.log_probabilities = true;
  wanted.top_log_probabilities = 3;
  const GenerateResult result = generate(session, wanted);

  Session own(loaded);
  const SequenceId sequence = own.open();
  SamplerChain sampler(wanted.sampler);
  StepResult logits = own.step({{sequence, wanted.prompt_ids}});
  StreamingDetokenizer text(loaded->model()->tokenizer());
  std::string expected;
  ASSERT_EQ(result.ids.size(), 20U);
  ASSERT_EQ(result.log_probabilities.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) {
    const TokenId id = sampler.sample(logits.logits(0));
    EXPECT_EQ(result.ids[i], id) << i;
    double sum = 0;
    for (const float logit : logits.logits(0)) sum += std::exp(static_cast<double>(logit));
    const double log_probability = logits.logits(0)[static_cast<std::size_t>(id)] - std::log(sum);
    EXPECT_EQ(result.log_probabilities[i].chosen.id, id);
    // A sum of 512 doubles: 512 roundings of 2^-53 at most.
    EXPECT_NEAR(result.log_probabilities[i].chosen.log_probability, log_probability,
                1024 * 0x1p-53);
    EXPECT_EQ(result.log_probabilities[i].top.size(), 3U);
    expected += text.push(id);
    logits = own.step({{sequence, std::span(&id, 1)}});
  }
  expected += text.finish();
  EXPECT_EQ(result.text, expected);
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(result.seed, 11U);
  EXPECT_EQ(result.timings.prompt_tokens, static_cast<std::int64_t>(wanted.prompt_ids.size()));
  EXPECT_EQ(result.timings.generated_tokens, 20);
  EXPECT_EQ(result.timings.steps, 19);
  // The sequence was closed again: both places are free.
  session.open();
  session.open();
}

TEST_F(GenerateTest, TheSameSeedGivesTheSameTextAndAnotherSeedAnother) {
  const auto loaded = executable();
  Session session(loaded);
  GenerateRequest wanted = request(16);
  const GenerateResult first = generate(session, wanted);
  EXPECT_EQ(generate(session, wanted).ids, first.ids);
  wanted.sampler.seed = 12;
  EXPECT_NE(generate(session, wanted).ids, first.ids);
  // An unset seed is told, and gives the text again.
  wanted.sampler.seed.reset();
  const GenerateResult random = generate(session, wanted);
  wanted.sampler.seed = random.seed;
  EXPECT_EQ(generate(session, wanted).ids, random.ids);
}

TEST_F(GenerateTest, TextComesInWholeCharactersAndCompletely) {
  Session session(executable());
  std::string seen;
  std::int64_t tokens = 0;
  GenerateCallbacks callbacks;
  callbacks.on_text = [&](std::string_view text) {
    EXPECT_FALSE(text.empty());
    EXPECT_TRUE(is_utf8(text));
    seen += text;
    return true;
  };
  callbacks.on_token = [&](const GeneratedToken& token) {
    EXPECT_EQ(token.index, tokens++);
    EXPECT_TRUE(is_utf8(token.text));
    EXPECT_EQ(token.log_probabilities, nullptr);
    return true;
  };
  const GenerateResult result = generate(session, request(40), callbacks);
  EXPECT_EQ(seen, result.text);
  EXPECT_EQ(tokens, 40);
}

TEST_F(GenerateTest, AnUnfinishedCharacterAtTheEndIsReplaced) {
  const auto loaded = executable();
  // The first byte of a two-byte character, as byte-level vocabularies spell it.
  const auto lead = loaded->model()->tokenizer()->find("\u00C3");
  ASSERT_TRUE(lead.has_value());
  Session session(loaded);
  GenerateRequest wanted = request(1);
  wanted.sampler = {.temperature = 0, .logit_bias = {{*lead, 1000.0F}}};
  EXPECT_EQ(generate(session, wanted).text, "\uFFFD");
  // What the end brings can be a stop string as well.
  wanted.stop = {"\uFFFD"};
  const GenerateResult stopped = generate(session, wanted);
  EXPECT_EQ(stopped.text, "");
  EXPECT_EQ(stopped.finish_reason, FinishReason::stop_string);
}

TEST_F(GenerateTest, TextEndsBeforeTheFirstStopString) {
  Session session(executable());
  const GenerateRequest plain = request(24);
  const std::string whole = generate(session, plain).text;
  ASSERT_GT(whole.size(), 20U);
  int tried = 0;
  for (std::size_t start = 0; start < whole.size(); start += 3) {
    for (const std::size_t size : {1U, 2U, 5U, 9U}) {
      const std::string stop = whole.substr(start, size);
      if (!is_utf8(stop) || stop.find("\uFFFD") != std::string::npos) continue;
      GenerateRequest wanted = plain;
      wanted.stop = {stop, "never in this text, surely"};
      std::string seen;
      const GenerateResult result =
          generate(session, wanted, {.on_text = [&](std::string_view text) {
                     seen += text;
                     return true;
                   }});
      EXPECT_EQ(result.text, whole.substr(0, whole.find(stop))) << start << " " << size;
      EXPECT_EQ(seen, result.text);
      EXPECT_EQ(result.finish_reason, FinishReason::stop_string);
      EXPECT_EQ(result.stop, stop);
      ++tried;
    }
  }
  EXPECT_GT(tried, 10);
}

TEST_F(GenerateTest, EndTokensEndTheText) {
  const auto loaded = executable();
  const auto tokenizer = loaded->model()->tokenizer();
  ASSERT_FALSE(tokenizer->end_of_generation().empty());
  const TokenId end = tokenizer->end_of_generation().front();
  Session session(loaded);
  GenerateRequest wanted = request(8);
  wanted.sampler = {.temperature = 0, .logit_bias = {{end, 1000.0F}}};
  EXPECT_EQ(generate(session, wanted).ids, std::vector<TokenId>(8, end));

  wanted.ignore_end_of_generation = false;
  const GenerateResult ended = generate(session, wanted);
  EXPECT_TRUE(ended.ids.empty());
  EXPECT_EQ(ended.text, "");
  EXPECT_EQ(ended.finish_reason, FinishReason::end_of_generation);

  // Any token can be made an end.
  wanted.sampler.logit_bias = {{65, 1000.0F}};
  wanted.stop_ids = {65};
  EXPECT_EQ(generate(session, wanted).finish_reason, FinishReason::end_of_generation);
}

TEST_F(GenerateTest, TheContextIsUsedToItsLastPlace) {
  Session session(executable(60));
  GenerateRequest wanted = request(1000);
  const GenerateResult result = generate(session, wanted);
  EXPECT_EQ(result.finish_reason, FinishReason::context_full);
  // 48 of the prompt, 12 stored ones, and the one that the last of them predicts.
  EXPECT_EQ(result.ids.size(), 13U);
  wanted.max_tokens.reset();
  EXPECT_EQ(generate(session, wanted).ids, result.ids);
}

TEST_F(GenerateTest, LimitsOfLength) {
  Session session(executable());
  const GenerateResult none = generate(session, request(0));
  EXPECT_TRUE(none.ids.empty());
  EXPECT_EQ(none.finish_reason, FinishReason::length);
  EXPECT_EQ(none.timings.prompt_tokens, 48);
  EXPECT_EQ(generate(session, request(1)).ids.size(), 1U);
}

TEST_F(GenerateTest, CallbacksCancel) {
  Session session(executable());
  const GenerateResult by_token =
      generate(session, request(30),
               {.on_token = [](const GeneratedToken& token) { return token.index < 2; }});
  EXPECT_EQ(by_token.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(by_token.ids.size(), 3U);

  int calls = 0;
  const GenerateResult by_text =
      generate(session, request(30), {.on_text = [&](std::string_view) { return ++calls < 2; }});
  EXPECT_EQ(by_text.finish_reason, FinishReason::cancelled);
  EXPECT_LT(by_text.ids.size(), 30U);
}

TEST_F(GenerateTest, AStopRequestCancels) {
  Session session(executable());
  const Cancel cancel;
  const GenerateResult during = generate(session, request(30),
                                         {.on_token =
                                              [&](const GeneratedToken& token) {
                                                if (token.index == 4) cancel.request();
                                                return true;
                                              },
                                          .cancel = cancel});
  EXPECT_EQ(during.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(during.ids.size(), 5U);
  EXPECT_FALSE(during.text.empty());

  const GenerateResult before = generate(session, request(30), {.cancel = cancel});
  EXPECT_EQ(before.finish_reason, FinishReason::cancelled);
  EXPECT_TRUE(before.ids.empty());
  EXPECT_EQ(before.timings.prompt_tokens, 0);
}

TEST_F(GenerateTest, WhatACallbackThrowsPassesAndTheSequenceIsClosed) {
  Session session(executable());
  for (int i = 0; i < 4; ++i) {  // more often than there are sequences
    EXPECT_THROW(
        generate(session, request(5), {.on_token = [](const GeneratedToken&) -> bool { throw 7; }}),
        int);
  }
}

TEST_F(GenerateTest, AKeptSequenceIsContinuedWithTheSameResult) {
  const auto loaded = executable();
  Session session(loaded);
  const SequenceId sequence = session.open();
  GenerateRequest wanted = request(8);
  wanted.sequence = sequence;
  const GenerateResult first = generate(session, wanted);
  EXPECT_EQ(first.timings.reused_tokens, 0);

  // A user types on: the prompt, part of the answer, and something new.
  wanted.prompt_ids.insert(wanted.prompt_ids.end(), first.ids.begin(), first.ids.begin() + 5);
  wanted.prompt_ids.push_back(first.ids[5] == 70 ? 71 : 70);
  const GenerateResult second = generate(session, wanted);
  EXPECT_EQ(second.timings.reused_tokens, 53);
  EXPECT_EQ(second.timings.prompt_tokens, 1);
  Session fresh(loaded);
  wanted.sequence.reset();
  EXPECT_EQ(generate(fresh, wanted).ids, second.ids);

  // The same prompt again: its last token must still be computed.
  wanted.sequence = sequence;
  const GenerateResult again = generate(session, wanted);
  EXPECT_EQ(again.timings.prompt_tokens, 1);
  EXPECT_EQ(again.ids, second.ids);
}

TEST_F(GenerateTest, PenaltiesSeeThePrompt) {
  Session session(executable());
  GenerateRequest wanted = request(1);
  wanted.prompt_ids = {40, 41, 42};
  // Without the penalty 41 would win; with it, whatever is next.
  wanted.sampler = {.temperature = 0, .presence_penalty = 500, .logit_bias = {{41, 300.0F}}};
  EXPECT_NE(generate(session, wanted).ids, std::vector<TokenId>{41});
  wanted.sampler.presence_penalty = 0;
  EXPECT_EQ(generate(session, wanted).ids, std::vector<TokenId>{41});
}

TEST_F(GenerateTest, TextPromptsAreEncodedAsTheFileAsks) {
  const auto loaded = executable();
  const auto tokenizer = loaded->model()->tokenizer();
  Session session(loaded);
  GenerateRequest wanted = request(3);
  wanted.prompt_ids.clear();
  wanted.prompt = "abc<|fim_middle|>";
  const GenerateResult special = generate(session, wanted);
  EXPECT_EQ(special.timings.prompt_tokens,
            static_cast<std::int64_t>(tokenizer->encode(wanted.prompt).size()));
  wanted.parse_special = false;
  EXPECT_GT(generate(session, wanted).timings.prompt_tokens, special.timings.prompt_tokens);
}

TEST_F(GenerateTest, RequestsWithoutMeaningAreErrors) {
  Session session(executable());
  const auto code = [&](const std::function<void(GenerateRequest&)>& change) {
    GenerateRequest wanted = request(4);
    change(wanted);
    return code_of([&] { generate(session, wanted); });
  };
  EXPECT_EQ(code([](GenerateRequest& r) { r.max_tokens = -1; }), ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.top_log_probabilities = -1; }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.stop = {""}; }), ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.prompt_ids.clear(); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.prompt_ids.assign(97, 1); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.prompt_ids = {512}; }), ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.prompt_ids = {-1}; }), ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) { r.sampler.temperature = -1; }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code([](GenerateRequest& r) {
              r.sampler.logit_bias = {{512, 1.0F}};
            }),
            ErrorCode::invalid_argument);
  // And the session is still usable.
  EXPECT_EQ(generate(session, request(2)).ids.size(), 2U);
}

}  // namespace
}  // namespace ingot::internal
