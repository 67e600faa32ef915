// Embeddings and heads with more rows than the tokenizer has tokens: the rest is padding. Broken by
// a draw of an id that no text belongs to.
#include "ingot/generate.hpp"
#include "tests/support/changed_model.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

constexpr std::int64_t kTokens = 512;
constexpr std::int64_t kHidden = 64;

/// Rows behind the tokens', in pairs of opposite sign: whatever is multiplied with them, one of the
/// two gives the largest logit by far.
std::vector<float> padded(const GgufTensor& tensor, std::int64_t rows) {
  std::vector<float> values = test::values_of(tensor);
  for (std::int64_t row = kTokens; row < rows; ++row) {
    for (std::int64_t i = 0; i < kHidden; ++i) {
      const float spread = 1 + static_cast<float>((row / 2 * 7 + i * 13) % 11);
      values.push_back(row % 2 == 0 ? 1000 * spread : -1000 * spread);
    }
  }
  return values;
}

/// llama has a head of its own, qwen2's is the embedding. 0 rows: as they are.
std::shared_ptr<const Model> padded_model(const std::string& name, std::int64_t embedding,
                                          std::int64_t head) {
  return Model::from_file(test::changed_model(
      name, {.tensor = [=](GgufWriter& writer, const GgufTensor& tensor) {
        const std::int64_t rows = tensor.name == "token_embd.weight" ? embedding
                                  : tensor.name == "output.weight"   ? head
                                                                     : 0;
        if (rows == 0) return false;
        test::add_values(writer, tensor.name, {kHidden, rows}, padded(tensor, rows));
        return true;
      }}));
}

struct Padding {
  const char* model;
  std::int64_t embedding;
  std::int64_t head;
};

const std::vector<Padding> kPaddings = {{"llama", 530, 530}, {"llama", 0, 544},
                                        {"llama", 520, 0},   {"llama", 514, 640},
                                        {"llama", 640, 514}, {"qwen2", 600, 0}};

TEST(PaddedVocabulary, IsNeverDrawn) {
  for (const Padding& padding : kPaddings) {
    const auto model = padded_model(padding.model, padding.embedding, padding.head);
    const std::int64_t rows = padding.embedding > 0 ? padding.embedding : kTokens;
    const bool tied = std::string(padding.model) == "qwen2";
    const std::int64_t logits = tied ? rows : padding.head > 0 ? padding.head : kTokens;
    EXPECT_EQ(model->spec().vocabulary_size, rows);
    EXPECT_EQ(model->spec().logit_count, logits);
    EXPECT_EQ(model->spec().token_count, kTokens);
    for (const std::string& device : test::test_device_names()) {
      LoadOptions options = test::options_for(device);
      options.run.context = 160;
      options.max_sequences = 2;
      options.compile.threads = 1;
      const auto executable = Executable::load(model, options);
      const auto plain = Executable::load(test::small_model(padding.model), options);
      Session session(executable);
      Session plain_session(plain);

      const SequenceId sequence = session.open();
      const StepResult step = session.step({{sequence, test::golden_tokens()}});
      ASSERT_EQ(step.vocabulary_size(), logits);
      const auto row = step.logits(0);
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      EXPECT_EQ(best >= kTokens, logits > kTokens) << "padding is not tempting: finds nothing";
      EXPECT_EQ(std::ssize(model->token_logits(row)), kTokens);
      session.close(sequence);
      const auto real = model->token_logits(row);
      const auto best_token = std::max_element(real.begin(), real.end()) - real.begin();
      for (const Outputs& outputs : {Outputs::last(Want::id), Outputs::last(Want::candidates, 8),
                                     Outputs::last(Want::candidates, kTokens)}) {
        const SequenceId again = session.open();
        const StepResult few = session.step({{again, test::golden_tokens(), outputs}});
        session.close(again);
        if (few.want(0) == Want::id) {
          EXPECT_EQ(few.id(0), best_token);
          continue;
        }
        EXPECT_EQ(few.candidates(0).best.front().id, best_token);
        for (const Candidate& candidate : few.candidates(0).best) EXPECT_LT(candidate.id, kTokens);
      }

      // Greedy, drawn, and with nothing filtered: what a model without padding gives.
      for (const double temperature : {0.0, 0.7, 2.0}) {
        GenerateRequest request;
        request.prompt_ids = test::golden_tokens();
        request.max_tokens = 24;
        request.ignore_end_of_generation = true;
        request.log_probabilities = true;
        request.top_log_probabilities = 5;
        request.sampler = {
            .temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5};
        const GenerateResult result = generate(session, request);
        const GenerateResult wanted = generate(plain_session, request);
        EXPECT_EQ(result.ids, wanted.ids) << padding.model << " on " << device;
        EXPECT_EQ(result.text, wanted.text);
        ASSERT_EQ(result.log_probabilities.size(), 24U);
        for (std::size_t i = 0; i < 24; ++i) {
          EXPECT_NEAR(result.log_probabilities[i].chosen.log_probability,
                      wanted.log_probabilities[i].chosen.log_probability, 1e-5);
          for (const auto& top : result.log_probabilities[i].top) EXPECT_LT(top.id, kTokens);
        }
        // A chain of the caller's own sees no padding either.
        SamplerChain chain({SamplerPart(TopK(3)), SamplerPart(Temperature(temperature + 1))}, 9);
        for (const TokenId id : generate(session, request, chain).ids) EXPECT_LT(id, kTokens);
      }
    }
  }
}

// What can be read is what the embedding has rows for, padding included; a head of more rows does
// not make an id that can be read.
TEST(PaddedVocabulary, IdsWithARowCanBeRead) {
  const auto executable =
      Executable::load(padded_model("llama", 514, 640), test::options_for("cpu"));
  Session session(executable);
  const std::vector<TokenId> last = {513};
  const std::vector<TokenId> beyond = {514};
  EXPECT_EQ(session.step({{session.open(), last}}).row_count(), 1);
  Session other(executable);
  try {
    other.step({{other.open(), beyond}});
    FAIL() << "expected a refusal";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("514"), std::string::npos) << error.what();
  }
}

TEST(PaddedVocabulary, FewerRowsThanTokensAreRefusedWhenOpened) {
  for (const char* tensor : {"token_embd.weight", "output.weight"}) {
    try {
      Model::from_file(test::changed_model("llama", {.half_rows = {tensor}}));
      FAIL() << tensor << ": expected a refusal";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file);
      for (const std::string part : {tensor, "256", "512"}) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace ingot
