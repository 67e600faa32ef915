// Vocabulary files that lie. Each must end in an Error that names the key, or in a tokenizer whose
// every use stays in bounds.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "tests/support/vocabulary_file.hpp"

namespace ingot {
namespace {

using test::byte_vocabulary;
using test::sentencepiece_vocabulary;
using test::VocabularyFile;

/// Expects an Error with this code whose message holds `word`.
void expect_error(ErrorCode code, const std::string& word, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error about " << word;
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(HostileVocabulary, UnknownModelsAndPreTokenizersAreNamed) {
  auto vocabulary = byte_vocabulary();
  expect_error(ErrorCode::unsupported, "bert",
               [&] { Tokenizer::from_gguf(vocabulary.file("bert")); });
  vocabulary.writer.set("tokenizer.ggml.pre", "no-such-words");
  expect_error(ErrorCode::unsupported, "no-such-words", [&] { vocabulary.byte_level(); });
  expect_error(ErrorCode::invalid_argument, "null pointer", [] { Tokenizer::from_gguf(nullptr); });
}

TEST(HostileVocabulary, MissingKeysAreNamed) {
  GgufWriter empty;
  expect_error(ErrorCode::bad_file, "tokenizer.ggml.model",
               [&] { Tokenizer::from_gguf(GgufFile::from_bytes(empty.to_bytes(), "x")); });
  for (const char* key : {"tokens", "merges"}) {
    auto vocabulary = byte_vocabulary();
    vocabulary.file("gpt2");
    vocabulary.writer.erase(std::string("tokenizer.ggml.") + key);
    expect_error(ErrorCode::bad_file, key, [&] {
      Tokenizer::from_gguf(GgufFile::from_bytes(vocabulary.writer.to_bytes(), "x"));
    });
  }
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.file("llama");
  vocabulary.writer.erase("tokenizer.ggml.scores");
  expect_error(ErrorCode::bad_file, "scores", [&] {
    Tokenizer::from_gguf(GgufFile::from_bytes(vocabulary.writer.to_bytes(), "x"));
  });
}

TEST(HostileVocabulary, WrongTypesAreNamed) {
  const auto refuse = [](const char* key, const auto& value, const char* model) {
    auto vocabulary = sentencepiece_vocabulary();
    vocabulary.file(model);
    vocabulary.writer.set(std::string("tokenizer.ggml.") + key, value);
    expect_error(ErrorCode::bad_file, key, [&] {
      Tokenizer::from_gguf(GgufFile::from_bytes(vocabulary.writer.to_bytes(), "x"));
    });
  };
  refuse("model", 7, "gpt2");
  refuse("pre", 7, "gpt2");
  refuse("tokens", "text", "gpt2");
  refuse("tokens", std::vector<std::int32_t>{1, 2}, "gpt2");
  refuse("token_type", std::vector<std::string>{"a"}, "gpt2");
  refuse("merges", std::vector<float>{1}, "gpt2");
  refuse("scores", std::vector<std::string>{"1"}, "llama");
  refuse("add_bos_token", "yes", "llama");
  refuse("bos_token_id", "one", "llama");
  refuse("add_space_prefix", 1, "llama");
}

TEST(HostileVocabulary, LengthsMustAgree) {
  VocabularyFile nothing;
  expect_error(ErrorCode::bad_file, "empty", [&] { nothing.byte_level(); });
  auto types = byte_vocabulary();
  types.kinds.pop_back();
  expect_error(ErrorCode::bad_file, "token_type", [&] { types.byte_level(); });
  for (const int change : {-1, 1}) {
    auto scores = sentencepiece_vocabulary();
    scores.scores.resize(scores.scores.size() + static_cast<std::size_t>(change));
    expect_error(ErrorCode::bad_file, "scores", [&] { scores.sentencepiece(); });
  }
}

TEST(HostileVocabulary, MergesMustBeOfTokens) {
  for (const char* merge : {"a zz", "zz a", "a b", "ab", "", " ", "a ", " a", "a b c"}) {
    auto vocabulary = byte_vocabulary();
    vocabulary.merges.emplace_back(merge);
    expect_error(ErrorCode::bad_file, "merges entry 0", [&] { vocabulary.byte_level(); });
  }
}

TEST(HostileVocabulary, IdsMustBeOfTheVocabulary) {
  for (const char* key : {"bos_token_id", "eos_token_id", "eot_token_id", "fim_pre_token_id"}) {
    for (const std::int64_t id : {std::int64_t{256}, std::int64_t{-2}, std::int64_t{1} << 40U}) {
      auto vocabulary = byte_vocabulary();
      vocabulary.writer.set(std::string("tokenizer.ggml.") + key, id);
      expect_error(ErrorCode::bad_file, key, [&] { vocabulary.byte_level(); });
    }
  }
  // "None", as converters write it, and padding that no engine needs.
  auto vocabulary = byte_vocabulary();
  vocabulary.writer.set("tokenizer.ggml.bos_token_id", std::int32_t{-1});
  vocabulary.writer.set("tokenizer.ggml.eos_token_id", std::numeric_limits<std::uint32_t>::max());
  vocabulary.writer.set("tokenizer.ggml.padding_token_id", std::uint32_t{256});
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), std::nullopt);
  EXPECT_EQ(tokenizer->pad(), std::nullopt);
  vocabulary.writer.set("tokenizer.ggml.add_bos_token", true);
  expect_error(ErrorCode::bad_file, "add_bos_token", [&] { vocabulary.byte_level(); });
}

TEST(HostileVocabulary, ScoresMustBeNumbers) {
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.scores[5] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorCode::bad_file, "scores", [&] { vocabulary.sentencepiece(); });
  vocabulary.scores[5] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(vocabulary.sentencepiece()->encode("a", {false, false}).size(), 2u);
}

TEST(HostileVocabulary, IdsOutsideAreRefusedByEveryQuery) {
  const auto tokenizer = byte_vocabulary().byte_level();
  for (const TokenId id :
       {-1, 256, std::numeric_limits<TokenId>::max(), std::numeric_limits<TokenId>::min()}) {
    expect_error(ErrorCode::invalid_argument, "256", [&] { tokenizer->piece(id); });
    expect_error(ErrorCode::invalid_argument, "256", [&] { tokenizer->raw_text(id); });
    expect_error(ErrorCode::invalid_argument, "256", [&] { tokenizer->kind(id); });
    expect_error(ErrorCode::invalid_argument, "256", [&] { tokenizer->is_end_of_generation(id); });
    expect_error(ErrorCode::invalid_argument, "256",
                 [&] { tokenizer->decode(std::vector<TokenId>{id}); });
  }
}

// Doubled and empty tokens, texts that are no UTF-8, kinds that don't exist: odd, but no reason to
// fail, and whatever is encoded must be ids of the vocabulary.
TEST(HostileVocabulary, OddTokensAreSafe) {
  std::mt19937 random(23);
  for (int round = 0; round < 300; ++round) {
    auto vocabulary = round % 2 == 0 ? byte_vocabulary() : sentencepiece_vocabulary();
    for (int i = 0; i < 40; ++i) {
      std::string token;
      for (auto n = random() % 5; n > 0; --n) token += "ab<\xE2\x96\x81\xC4\xA0"[random() % 8];
      vocabulary.add(token, static_cast<TokenKind>(random() % 9),
                     static_cast<float>(random() % 7) - 3);
      vocabulary.kinds.back() -= 1;
    }
    const auto tokenizer = round % 2 == 0 ? vocabulary.byte_level() : vocabulary.sentencepiece();
    std::string text;
    for (int i = 0; i < 200; ++i) text += "ab<\xE2\x96\x81\xC4\xA0 "[random() % 9];
    const auto ids = tokenizer->encode(text);
    for (const TokenId id : ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocabulary_size());
    tokenizer->decode(ids);
  }
}

}  // namespace
}  // namespace ingot
