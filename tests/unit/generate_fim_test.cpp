// Fill-in-the-middle prompts, on two small vocabularies made here: byte-level BPE and
// SentencePiece. If these fail, a model is asked in a form it was not trained on and fills in
// nonsense.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "ingot/fim.hpp"
#include "ingot/gguf_writer.hpp"

namespace ingot {
namespace {

using Ids = std::vector<TokenId>;

struct Vocabulary {
  std::string model;
  std::vector<std::string> tokens = {};
  std::vector<float> scores = {};
  std::vector<std::int32_t> kinds = {};
  std::vector<std::string> merges = {};

  TokenId add(const std::string& text, std::int32_t kind = 1, float score = 0) {
    tokens.push_back(text);
    kinds.push_back(kind);
    scores.push_back(score);
    return static_cast<TokenId>(tokens.size() - 1);
  }

  std::shared_ptr<const Tokenizer> build(const std::function<void(GgufWriter&)>& edit = {}) const {
    GgufWriter writer;
    writer.set("general.architecture", "llama");
    writer.set("tokenizer.ggml.model", model);
    writer.set("tokenizer.ggml.tokens", tokens);
    writer.set("tokenizer.ggml.token_type", kinds);
    if (model == "llama") {
      writer.set("tokenizer.ggml.scores", scores);
    } else {
      writer.set("tokenizer.ggml.pre", "qwen2");
      writer.set("tokenizer.ggml.merges", merges);
    }
    if (edit) edit(writer);
    return Tokenizer::from_gguf(GgufFile::from_bytes(writer.to_bytes(), "vocabulary"));
  }
};

/// Printable ASCII one byte a token (a byte-level vocabulary spells those as they are, the space as
/// U+0120), the two bytes of "é" as U+00C3 and U+00A9, and marks of the Qwen family.
struct ByteLevel : Vocabulary {
  TokenId prefix, suffix, middle, bos;
  explicit ByteLevel(bool with_middle = true) {
    model = "gpt2";
    for (int c = '!'; c <= '~'; ++c) add(std::string(1, static_cast<char>(c)));
    add("\u0120");
    add("\u010A");  // line feed
    add("\u00C3");
    add("\u00A9");
    merges.push_back("d e");
    add("de");
    bos = add("<|endoftext|>", 3);
    prefix = add("<|fim_prefix|>", 3);
    middle = with_middle ? add("<|fim_middle|>", 3) : -1;
    suffix = add("<|fim_suffix|>", 3);
  }
  TokenId letter(char c) const { return c - '!'; }
  TokenId find(const std::string& text) const {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == text) return static_cast<TokenId>(i);
    }
    return -1;
  }
};

void add_bos(GgufWriter& writer, TokenId bos) {
  writer.set("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(bos));
  writer.set("tokenizer.ggml.add_bos_token", true);
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error";
  return Error(ErrorCode::internal, "none");
}

TEST(Fim, PrefixFirstIsTheFormWithAMiddleMark) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "ab", "c");
  EXPECT_EQ(prompt.order, FimOrder::prefix_suffix_middle);
  EXPECT_EQ(prompt.ids, (Ids{vocabulary.prefix, vocabulary.letter('a'), vocabulary.letter('b'),
                             vocabulary.suffix, vocabulary.letter('c'), vocabulary.middle}));
  for (const TokenId mark : {vocabulary.prefix, vocabulary.suffix, vocabulary.middle}) {
    EXPECT_EQ(std::count(prompt.stop_ids.begin(), prompt.stop_ids.end(), mark), 1);
  }
}

TEST(Fim, SuffixFirstKeepsThePrefixLast) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const FimPrompt prompt =
      build_fim_prompt(*tokenizer, "ab", "c", {.order = FimOrder::suffix_prefix_middle});
  EXPECT_EQ(prompt.ids, (Ids{vocabulary.prefix, vocabulary.suffix, vocabulary.letter('c'),
                             vocabulary.middle, vocabulary.letter('a'), vocabulary.letter('b')}));
}

TEST(Fim, WithoutAMiddleMarkTheSuffixComesFirst) {
  const ByteLevel vocabulary(false);
  const auto tokenizer = vocabulary.build();
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "ab", "c");
  EXPECT_EQ(prompt.order, FimOrder::suffix_prefix_middle);
  EXPECT_EQ(prompt.ids, (Ids{vocabulary.suffix, vocabulary.letter('c'), vocabulary.prefix,
                             vocabulary.letter('a'), vocabulary.letter('b')}));
  const Error error = error_of(
      [&] { build_fim_prompt(*tokenizer, "ab", "c", {.order = FimOrder::prefix_suffix_middle}); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_NE(std::string(error.what()).find("middle"), std::string::npos) << error.what();
}

TEST(Fim, BosComesFirstIfTheFileAsks) {
  const ByteLevel vocabulary;
  const auto tokenizer =
      vocabulary.build([&](GgufWriter& writer) { add_bos(writer, vocabulary.bos); });
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "", "");
  EXPECT_EQ(prompt.ids,
            (Ids{vocabulary.bos, vocabulary.prefix, vocabulary.suffix, vocabulary.middle}));
}

TEST(Fim, SpecialTextInsideTheCodeStaysText) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "<|fim_middle|>", "<|endoftext|>");
  EXPECT_EQ(std::count(prompt.ids.begin(), prompt.ids.end(), vocabulary.middle), 1);
  EXPECT_EQ(std::count(prompt.ids.begin(), prompt.ids.end(), vocabulary.bos), 0);
  // Every character is a token of its own.
  EXPECT_EQ(prompt.ids.size(), 3 + std::string("<|fim_middle|><|endoftext|>").size());
}

TEST(Fim, MissingMarksAreNamed) {
  Vocabulary vocabulary{.model = "gpt2"};
  vocabulary.add("a");
  vocabulary.add("b");
  vocabulary.merges.push_back("a b");
  vocabulary.add("ab");
  vocabulary.add("<|endoftext|>", 3);
  const auto tokenizer = vocabulary.build();
  const Error error = error_of([&] { build_fim_prompt(*tokenizer, "a", "b"); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_NE(std::string(error.what()).find("prefix, suffix, middle"), std::string::npos)
      << error.what();
}

TEST(Fim, TooLongIsAnErrorUnlessTrimmingIsAllowed) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const std::string before(20, 'a');
  const std::string after(20, 'b');
  EXPECT_NO_THROW(build_fim_prompt(*tokenizer, before, after, {.token_limit = 43}));
  const Error error =
      error_of([&] { build_fim_prompt(*tokenizer, before, after, {.token_limit = 42}); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_NE(std::string(error.what()).find("43"), std::string::npos) << error.what();
  // Not even the marks fit.
  EXPECT_EQ(error_of([&] {
              build_fim_prompt(*tokenizer, before, after, {.token_limit = 2, .trim = true});
            }).code(),
            ErrorCode::invalid_argument);
}

TEST(Fim, TrimmingKeepsWhatIsNearTheGap) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  // 16 tokens of room: 12 for the prefix, 4 for the suffix.
  const std::string before = "0123456789ABCDEFGHIJ";
  const std::string after = "KLMNOPQRSTUVWXYZ";
  const auto texts = [&](const std::string& first, const std::string& last, std::int64_t limit) {
    const FimPrompt prompt =
        build_fim_prompt(*tokenizer, first, last, {.token_limit = limit, .trim = true});
    EXPECT_EQ(static_cast<std::int64_t>(prompt.ids.size()), limit);
    EXPECT_EQ(prompt.prefix_tokens_dropped + prompt.suffix_tokens_dropped,
              static_cast<std::int64_t>(first.size() + last.size()) - (limit - 3));
    return tokenizer->decode(prompt.ids, {.skip_special = true});
  };
  EXPECT_EQ(texts(before, after, 19), "89ABCDEFGHIJKLMN");
  // A short suffix leaves its room to the prefix, and the other way round.
  EXPECT_EQ(texts(before, "KL", 19), "6789ABCDEFGHIJKL");
  EXPECT_EQ(texts("IJ", after, 13), "IJKLMNOPQR");
}

// Room for the answer is taken from a prompt that must be trimmed, and from no other one.
TEST(Fim, TheReserveIsKeptOnlyByTrimming) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const std::string before(30, 'a');
  const std::string after(10, 'b');  // 43 tokens with the marks
  const auto size = [&](std::int64_t limit, std::int64_t reserve) {
    const FimPrompt prompt = build_fim_prompt(
        *tokenizer, before, after, {.token_limit = limit, .trim = true, .trim_reserve = reserve});
    EXPECT_EQ(prompt.prefix_tokens_dropped + prompt.suffix_tokens_dropped,
              43 - static_cast<std::int64_t>(prompt.ids.size()));
    return prompt.ids.size();
  };
  for (const std::int64_t reserve : {0, 1, 41, 42, 43, 44, 1'000'000}) {
    EXPECT_EQ(size(43, reserve), 43u) << "fits, whatever is to be generated: " << reserve;
    EXPECT_EQ(size(100, reserve), 43u);
  }
  EXPECT_EQ(size(42, 0), 42u);
  EXPECT_EQ(size(42, 1), 41u);
  EXPECT_EQ(size(42, 20), 22u);
  // At most half of the limit, and never the marks' place.
  EXPECT_EQ(size(42, 21), 21u);
  EXPECT_EQ(size(42, 1'000'000), 21u);
  EXPECT_EQ(size(41, 1'000'000), 21u);
  EXPECT_EQ(size(5, 5), 3u);
  EXPECT_EQ(size(4, 4), 3u);
  EXPECT_EQ(size(3, 3), 3u);
  EXPECT_EQ(error_of([&] { size(2, 2); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { size(42, -1); }).code(), ErrorCode::invalid_argument);
}

// Continuation bytes alone begin no character: there is nothing to keep whole, and nothing to lose.
TEST(Fim, TrimmingTextThatIsNoUtf8KeepsItsTokens) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += '\xA9';
  const FimPrompt prompt =
      build_fim_prompt(*tokenizer, bytes, bytes, {.token_limit = 19, .trim = true});
  EXPECT_EQ(prompt.ids.size(), 19u);
}

TEST(Fim, TrimmingDoesNotCutCharacters) {
  const ByteLevel vocabulary;
  const auto tokenizer = vocabulary.build();
  const TokenId second = vocabulary.find("\u00A9");
  // "é" is two tokens here. Room for 4: 3 of the prefix would begin inside the first é, and one of
  // the suffix would end inside.
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "a\u00E9\u00E9", "\u00E9\u00E9",
                                            {.token_limit = 7, .trim = true});
  const std::string text = tokenizer->decode(prompt.ids, {.skip_special = true});
  EXPECT_EQ(text, "\u00E9");
  EXPECT_EQ(prompt.ids[1], vocabulary.find("\u00C3"));
  EXPECT_EQ(prompt.ids[2], second);
  EXPECT_EQ(prompt.prefix_tokens_dropped, 3);
  EXPECT_EQ(prompt.suffix_tokens_dropped, 4);
}

/// A small SentencePiece vocabulary: bytes, single letters with and without a space, CodeLlama's
/// marks.
struct SentencePiece : Vocabulary {
  TokenId a, space_a, prefix, suffix, middle;
  SentencePiece() {
    model = "llama";
    add("<unk>", 2);
    add("<s>", 3);
    add("</s>", 3);
    for (int byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof(text), "<0x%02X>", static_cast<unsigned>(byte));
      add(text, 6);
    }
    add("\u2581", 1, -5);
    a = add("a", 1, -6);
    space_a = add("\u2581a", 1, -1);
    prefix = add("\u2581<PRE>", 3);
    middle = add("\u2581<MID>", 3);
    suffix = add("\u2581<SUF>", 3);
  }
  std::shared_ptr<const Tokenizer> tokenizer() const {
    return build([&](GgufWriter& writer) {
      add_bos(writer, 1);
      const auto set = [&](const char* key, TokenId id) {
        writer.set(key, static_cast<std::uint32_t>(id));
      };
      set("tokenizer.ggml.prefix_token_id", prefix);
      set("tokenizer.ggml.suffix_token_id", suffix);
      set("tokenizer.ggml.middle_token_id", middle);
    });
  }
};

TEST(Fim, SentencePieceAddsItsSpaceToThePrefixAlone) {
  const SentencePiece vocabulary;
  const auto tokenizer = vocabulary.tokenizer();
  ASSERT_TRUE(tokenizer->adds_space_prefix());
  const FimPrompt prompt = build_fim_prompt(*tokenizer, "a", "a");
  EXPECT_EQ(prompt.ids, (Ids{1, vocabulary.prefix, vocabulary.space_a, vocabulary.suffix,
                             vocabulary.a, vocabulary.middle}));
  // A space that the suffix has of its own stays.
  EXPECT_EQ(build_fim_prompt(*tokenizer, "a", " a").ids[4], vocabulary.space_a);
  const FimPrompt first =
      build_fim_prompt(*tokenizer, "a", "a", {.order = FimOrder::suffix_prefix_middle});
  EXPECT_EQ(first.ids, (Ids{1, vocabulary.prefix, vocabulary.suffix, vocabulary.a,
                            vocabulary.middle, vocabulary.space_a}));
  EXPECT_EQ(build_fim_prompt(*tokenizer, "", "").ids,
            (Ids{1, vocabulary.prefix, vocabulary.suffix, vocabulary.middle}));
}

}  // namespace
}  // namespace ingot
