// Tokenizers on real vocabularies: what published files mean, and what must hold for any text.
#include "ingot/tokenizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/fixtures.hpp"

namespace ingot {
namespace {

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kBytes{.add_special = false, .parse_special = false, .normalize = false};

std::filesystem::path fixture(const std::string& name) {
  return test::fixtures() / "tokenizers" / ("ggml-vocab-" + name + ".gguf");
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

void append_utf8(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | code >> 6U);
    out += static_cast<char>(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | code >> 12U);
    out += static_cast<char>(0x80U | (code >> 6U & 0x3FU));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  } else {
    out += static_cast<char>(0xF0U | code >> 18U);
    out += static_cast<char>(0x80U | (code >> 12U & 0x3FU));
    out += static_cast<char>(0x80U | (code >> 6U & 0x3FU));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  }
}

/// Characters of the planes that have any: the vocabularies lack bytes that only others need.
/// Controls but tab and line ends are left out: falcon has no tokens for some of them.
std::string random_unicode(std::mt19937& random, std::size_t characters) {
  constexpr std::array<std::array<char32_t, 2>, 9> kRanges{{{0x20, 0x7E},
                                                            {0x20, 0x7E},
                                                            {0x20, 0x7E},
                                                            {0xA0, 0x24F},
                                                            {0x250, 0x1FFF},
                                                            {0x2000, 0xD7FF},
                                                            {0xE000, 0xFFFF},
                                                            {0x10000, 0x323AF},
                                                            {0xE0000, 0x10FFFF}}};
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) {
    const auto& range = kRanges[random() % kRanges.size()];
    const auto code = range[0] + static_cast<char32_t>(random() % (range[1] - range[0] + 1));
    const std::size_t times = random() % 8 == 0 ? 1 + random() % 5 : 1;
    for (std::size_t j = 0; j < times; ++j) append_utf8(code, text);
    if (random() % 6 == 0) text += "\n\t  \r\n"[random() % 6];
  }
  return text;
}

/// The vocabularies, opened once.
class TokenizerModels : public testing::Test {
 protected:
  void SetUp() override {
    INGOT_NEED_FIXTURE(std::filesystem::exists(fixture("gpt-2")), fixture("gpt-2"));
  }

  static std::shared_ptr<const Tokenizer> get(const std::string& name) {
    static std::map<std::string, std::shared_ptr<const Tokenizer>> opened;
    auto& tokenizer = opened[name];
    if (!tokenizer) tokenizer = Tokenizer::from_gguf(GgufFile::open(fixture(name)));
    return tokenizer;
  }

  static constexpr std::array<const char*, 9> kAll{"deepseek-coder", "deepseek-llm", "falcon",
                                                   "gpt-2",          "llama-bpe",    "llama-spm",
                                                   "phi-3",          "refact",       "starcoder"};
};

// qwen2 has published cases but no published vocabulary here. Its first 99,156 tokens are those of
// cl100k without the numbers of several digits, and Llama 3's first 100,256 are cl100k: so the
// cases that stay within them can be checked.
TEST_F(TokenizerModels, Qwen2CasesMatchOnTheTokensItSharesWithLlama3) {
  const auto file = GgufFile::open(fixture("llama-bpe"));
  auto tokens = file->get<std::vector<std::string_view>>("tokenizer.ggml.tokens");
  tokens.resize(100256);
  const auto has_number = [](std::string_view token) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    for (std::size_t i = 0; i + 1 < token.size(); ++i) {
      if (digit(token[i]) && digit(token[i + 1])) return true;
    }
    return false;
  };
  tokens.erase(std::remove_if(tokens.begin(), tokens.end(), has_number), tokens.end());
  ASSERT_EQ(tokens.size(), 99156u);
  std::vector<std::string_view> sorted = tokens;
  std::sort(sorted.begin(), sorted.end());
  const auto known = [&](std::string_view token) {
    return std::binary_search(sorted.begin(), sorted.end(), token);
  };
  auto merges = file->get<std::vector<std::string_view>>("tokenizer.ggml.merges");
  merges.erase(std::remove_if(merges.begin(), merges.end(),
                              [&](std::string_view merge) {
                                const std::size_t space = merge.find(' ');
                                std::string joined(merge.substr(0, space));
                                const std::string_view right = merge.substr(space + 1);
                                if (!known(joined) || !known(right)) return true;
                                return !known(joined.append(right));
                              }),
               merges.end());
  GgufWriter writer;
  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", "qwen2");
  writer.set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.merges", merges);
  const auto tokenizer =
      Tokenizer::from_gguf(GgufFile::from_bytes(writer.to_bytes(), "qwen2, in part"));

  const std::string texts = read_text(fixture("qwen2").string() + ".inp");
  std::istringstream lines(read_text(fixture("qwen2").string() + ".out"));
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  int checked = 0;
  std::size_t begin = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = texts.find(kSeparator, begin);
    const std::string text = texts.substr(begin, end - begin);
    begin = end + kSeparator.size();
    std::istringstream fields(line);
    const std::vector<TokenId> expected{std::istream_iterator<TokenId>(fields), {}};
    const bool within = std::all_of(expected.begin(), expected.end(), [&](TokenId id) {
      return id < static_cast<TokenId>(tokens.size());
    });
    if (!within) continue;
    EXPECT_EQ(tokenizer->encode(text, kPlain), expected) << '"' << text << '"';
    ++checked;
  }
  EXPECT_EQ(checked, 40);
}

// What a file edited with one of these models says must survive.
TEST_F(TokenizerModels, DecodingGivesTheTextBack) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const std::string text = random_unicode(random, 1 + random() % 60);
    for (const char* name : kAll) {
      const auto tokenizer = get(name);
      for (const bool add_special : {false, true}) {
        const auto ids = tokenizer->encode(text, {add_special, false});
        ASSERT_EQ(tokenizer->decode(ids, {.skip_special = true}), text) << name;
      }
    }
  }
}

TEST_F(TokenizerModels, SourceCodeSurvives) {
  const std::string text =
      read_text(std::filesystem::path(INGOT_SOURCE_DIR "/tests/model/tokenizer_test.cpp"));
  for (const char* name : kAll) {
    ASSERT_EQ(get(name)->decode(get(name)->encode(text, kBytes)), text) << name;
  }
}

// A SentencePiece vocabulary spells a space as U+2581, and to the published tokenizers that
// character means one in a text too; it stays itself where the bytes are to be kept.
TEST_F(TokenizerModels, TheSpaceMarkIsASpaceOfSentencePieceAlone) {
  for (const char* name : kAll) {
    const auto tokenizer = get(name);
    for (const auto& [text, spaces] : std::vector<std::pair<std::string, std::string>>{
             {"a▁b ▁ c", "a b   c"}, {"▁", " "}, {" ▁▁", "   "}}) {
      const bool sentencepiece = tokenizer->model() == "llama";
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, kPlain)), sentencepiece ? spaces : text)
          << name;
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, kBytes)), text) << name;
      if (sentencepiece) {
        EXPECT_EQ(tokenizer->encode(text, kPlain), tokenizer->encode(spaces, kPlain)) << name;
      }
    }
  }
}

TEST_F(TokenizerModels, BytesThatAreNoUtf8KeepTheirValuesOrBecomeReplacements) {
  std::mt19937 random(5);
  for (int round = 0; round < 100; ++round) {
    std::string text;
    for (int i = 0; i < 50; ++i) text += static_cast<char>(random());
    // These have a token for each byte.
    for (const char* name : {"gpt-2", "llama-bpe", "llama-spm", "phi-3"}) {
      ASSERT_EQ(get(name)->decode(get(name)->encode(text, kPlain)), text) << name;
    }
    for (const char* name : {"deepseek-coder", "deepseek-llm", "falcon", "refact", "starcoder"}) {
      EXPECT_FALSE(get(name)->encode(text, kPlain).empty()) << name;
    }
  }
  EXPECT_EQ(get("deepseek-coder")
                ->decode(get("deepseek-coder")
                             ->encode("a\xFF"
                                      "b",
                                      kPlain)),
            "a\xEF\xBF\xBD"
            "b");
}

TEST_F(TokenizerModels, AWordOfAMegabyteIsEncoded) {
  const std::string text(1000000, 'a');
  for (const char* name : kAll) {
    const auto ids = get(name)->encode(text, kPlain);
    EXPECT_LT(ids.size(), text.size() / 3) << name;  // "aaaa" is a token in all
    EXPECT_EQ(get(name)->decode(ids), text) << name;
  }
}

TEST_F(TokenizerModels, SpecialTokensAreThoseOfThePublishedModels) {
  struct Case {
    const char* name;
    TokenId bos;
    bool adds_bos;
    std::vector<std::string> ends;
    std::vector<std::string> fim;  // prefix, suffix, middle
  };
  const std::vector<Case> cases{
      {"deepseek-coder",
       32013,
       true,
       {"<｜end▁of▁sentence｜>", "<|EOT|>"},
       {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}},
      {"deepseek-llm", 100000, true, {"<｜end▁of▁sentence｜>"}, {}},
      {"falcon", 11, false, {"<|endoftext|>"}, {}},
      {"gpt-2", 50256, false, {"<|endoftext|>"}, {}},
      {"llama-bpe", 128000, true, {"<|end_of_text|>", "<|eot_id|>"}, {}},
      {"llama-spm", 1, true, {"</s>"}, {}},
      {"phi-3", 1, true, {"</s>", "<|endoftext|>", "<|end|>"}, {}},
      {"refact",
       0,
       false,
       {"<|endoftext|>", "<fim_pad>", "<filename>", "<reponame>"},
       {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}},
      {"starcoder",
       0,
       false,
       {"<|endoftext|>", "<fim_pad>", "<repo_name>", "<file_sep>"},
       {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}},
  };
  for (const Case& expected : cases) {
    SCOPED_TRACE(expected.name);
    const auto tokenizer = get(expected.name);
    EXPECT_EQ(tokenizer->bos(), expected.bos);
    EXPECT_EQ(tokenizer->adds_bos(), expected.adds_bos);
    EXPECT_FALSE(tokenizer->adds_eos());
    std::vector<std::string> ends;
    for (const TokenId id : tokenizer->end_of_generation()) {
      ends.emplace_back(tokenizer->raw_text(id));
      EXPECT_TRUE(tokenizer->is_end_of_generation(id));
      EXPECT_TRUE(tokenizer->is_control(id)) << tokenizer->raw_text(id);
    }
    EXPECT_EQ(ends, expected.ends);
    const FimTokens& fim = tokenizer->fim();
    EXPECT_EQ(fim.complete(), !expected.fim.empty());
    if (!fim.complete()) continue;
    EXPECT_EQ(tokenizer->raw_text(*fim.prefix), expected.fim[0]);
    EXPECT_EQ(tokenizer->raw_text(*fim.suffix), expected.fim[1]);
    EXPECT_EQ(tokenizer->raw_text(*fim.middle), expected.fim[2]);
  }
}

TEST_F(TokenizerModels, TextOfControlTokensIsParsedOnlyWhenAsked) {
  const auto tokenizer = get("llama-bpe");
  const std::string text = "a<|eot_id|>b";
  const auto parsed = tokenizer->encode(text, {.add_special = true, .parse_special = true});
  EXPECT_EQ(parsed, (std::vector<TokenId>{128000, 64, 128009, 65}));
  const auto plain = tokenizer->encode(text, {.add_special = true, .parse_special = false});
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 128009), 0);
  EXPECT_EQ(tokenizer->decode(plain, {.skip_special = true}), text);
  EXPECT_EQ(tokenizer->decode(parsed, {.skip_special = true}), "ab");
  EXPECT_EQ(tokenizer->decode(parsed), "<|begin_of_text|>a<|eot_id|>b");
}

// </s> would end an answer: a user who types it must not.
TEST_F(TokenizerModels, PlainTextNeverMakesAControlToken) {
  for (const char* name : kAll) {
    const auto tokenizer = get(name);
    std::string text;
    for (TokenId id = 0; id < tokenizer->vocabulary_size(); ++id) {
      if (tokenizer->is_control(id)) text.append(tokenizer->raw_text(id)).append(" ");
    }
    for (const TokenId id : tokenizer->encode(text, kPlain)) {
      ASSERT_FALSE(tokenizer->is_control(id)) << name << ' ' << tokenizer->raw_text(id);
    }
  }
}

// Phi 3's chat marks swallow the line end behind them; its beginning and end marks do not.
TEST_F(TokenizerModels, Phi3MarksTakeTheWhiteSpaceBehindThem) {
  const auto tokenizer = get("phi-3");
  const auto ids = [&](const char* text) { return tokenizer->encode(text, {false, true}); };
  EXPECT_EQ(ids("<|user|>\n Hi<|end|>\n"), ids("<|user|>Hi<|end|>"));
  EXPECT_NE(ids("<|endoftext|>\n Hi"), ids("<|endoftext|>Hi"));
}

TEST_F(TokenizerModels, StreamedTextIsTheDecodedText) {
  std::mt19937 random(7);
  for (const char* name : kAll) {
    const auto tokenizer = get(name);
    for (const bool strip : {false, true}) {
      const DecodeOptions options{.skip_special = true, .strip_added_space = strip};
      StreamingDetokenizer stream(tokenizer, options);
      const std::string text = random_unicode(random, 200);
      const auto ids = tokenizer->encode(text, {true, false});
      std::string streamed;
      for (const TokenId id : ids) streamed += stream.push(id);
      EXPECT_EQ(streamed, tokenizer->decode(ids, options)) << name;
      EXPECT_EQ(stream.finish(), "") << name;
    }
  }
}

TEST_F(TokenizerModels, ThreadsShareATokenizer) {
  const auto tokenizer = get("starcoder");
  const std::string text =
      read_text(std::filesystem::path(INGOT_SOURCE_DIR "/tests/model/tokenizer_test.cpp"));
  const auto expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::array<bool, 4> same{};
  for (bool& result : same) {
    threads.emplace_back([&] {
      result = true;
      for (int i = 0; i < 5; ++i) result = result && tokenizer->encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(same.begin(), same.end(), true), 4);
}

}  // namespace
}  // namespace ingot
