// Texts and vocabularies made to be slow. If these fail, a file or a prompt of a megabyte keeps a
// program busy for minutes, a cancelled encode goes on, or the fast way finds other tokens than its
// definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "src/tokenizer/pattern_automaton.hpp"
#include "src/tokenizer/special_splitter.hpp"
#include "src/tokenizer/substring_hash.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/vocabulary_file.hpp"

namespace ingot {
namespace {

using test::byte_vocabulary;
using test::sentencepiece_vocabulary;
using test::VocabularyFile;
using namespace internal;
using tokenizer::PatternAutomaton;

constexpr std::size_t kMegabyte = 1'000'000;

// What takes seconds at worst where it is linear takes minutes where it is not; sanitizers are
// allowed for. Processor time, so that a busy machine makes no difference.
constexpr double kPatience = 20;

double seconds(const std::function<void()>& action) {
  const std::clock_t start = std::clock();
  action();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

std::string random_text(std::mt19937& random, std::size_t size, unsigned letters) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random() % letters);
  return text;
}

std::string repeated(std::string_view part, std::size_t size) {
  std::string text;
  while (text.size() < size) text += part;
  return text;
}

/// The longest pattern that ends at the end of `text`, of equal ones the last; by trying each.
std::uint32_t longest_at_end(const std::vector<std::string>& patterns, std::string_view text) {
  std::uint32_t best = PatternAutomaton::kNone;
  for (std::uint32_t i = 0; i < patterns.size(); ++i) {
    if (!text.ends_with(patterns[i])) continue;
    if (best == PatternAutomaton::kNone || patterns[i].size() >= patterns[best].size()) best = i;
  }
  return best;
}

/// The most bytes at the end of `text` that begin a pattern.
std::size_t begun_at_end(const std::vector<std::string>& patterns, std::string_view text) {
  std::size_t most = 0;
  for (const std::string& pattern : patterns) {
    for (std::size_t size = most + 1; size <= std::min(pattern.size(), text.size()); ++size) {
      if (text.ends_with(std::string_view(pattern).substr(0, size))) most = size;
    }
  }
  return most;
}

TEST(PatternAutomaton, FindsWhatTryingEachPatternFinds) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    const auto letters = static_cast<unsigned>(1 + random() % 3);
    std::vector<std::string> patterns(random() % 12);
    for (std::string& pattern : patterns) {
      pattern = random_text(random, 1 + random() % 7, letters);
      if (random() % 8 == 0) pattern.back() = '\xFF';
    }
    const std::vector<std::string_view> views(patterns.begin(), patterns.end());
    const PatternAutomaton automaton(views);
    EXPECT_EQ(automaton.empty(), patterns.empty());
    const std::string text =
        random_text(random, 40, letters) + "\xFF" + random_text(random, 10, letters);
    PatternAutomaton::State state = PatternAutomaton::kStart;
    for (std::size_t end = 1; end <= text.size(); ++end) {
      state = automaton.next(state, text[end - 1]);
      const std::string_view read = std::string_view(text).substr(0, end);
      ASSERT_EQ(automaton.longest(state), longest_at_end(patterns, read));
      ASSERT_EQ(automaton.depth(state), begun_at_end(patterns, read));
    }
  }
}

/// What the splitter must give, by trying every token at every position: text parts as themselves,
/// tokens as "#id".
std::vector<std::string> split_by_trying(const VocabularyFile& file, std::string_view text,
                                         bool parse_special) {
  std::vector<std::string> parts;
  std::string plain;
  const auto end_plain = [&] {
    if (!plain.empty()) parts.push_back(plain);
    plain.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t best = 0;
    for (std::size_t id = 0; id < file.tokens.size(); ++id) {
      const auto kind = static_cast<TokenKind>(file.kinds[id]);
      const bool wanted =
          kind == TokenKind::user_defined ||
          (parse_special && (kind == TokenKind::control || kind == TokenKind::unknown));
      if (!wanted || file.tokens[id].empty() || !text.substr(at).starts_with(file.tokens[id])) {
        continue;
      }
      // Of equal tokens the last one.
      if (best == 0 || file.tokens[id].size() >= file.tokens[best - 1].size()) best = id + 1;
    }
    if (best == 0) {
      plain += text[at++];
      continue;
    }
    end_plain();
    parts.push_back("#" + std::to_string(best - 1));
    at += file.tokens[best - 1].size();
  }
  end_plain();
  return parts;
}

TEST(SpecialSplitter, FindsWhatTryingEveryTokenFinds) {
  std::mt19937 random(29);
  for (int round = 0; round < 1500; ++round) {
    VocabularyFile file;
    const auto letters = static_cast<unsigned>(1 + random() % 3);
    const std::size_t count = 1 + random() % 14;
    for (std::size_t i = 0; i < count; ++i) {
      const TokenKind kinds[] = {TokenKind::control, TokenKind::user_defined, TokenKind::unknown,
                                 TokenKind::normal};
      file.add(random_text(random, random() % 7, letters), kinds[random() % 4]);
    }
    const tokenizer::Vocabulary vocabulary(file.file("gpt2"), tokenizer::Spelling::byte_level);
    const tokenizer::SpecialSplitter splitter(vocabulary, {});
    const std::string text = random_text(random, random() % 60, letters);
    for (const bool parse_special : {false, true}) {
      std::vector<std::string> parts;
      splitter.split(
          text, parse_special, Cancel::never(),
          [&](std::string_view part) { parts.emplace_back(part); },
          [&](TokenId id) { parts.push_back("#" + std::to_string(id)); });
      ASSERT_EQ(parts, split_by_trying(file, text, parse_special)) << text;
    }
  }
}

// A token of 60,001 bytes whose beginning the text repeats without end.
TEST(HostileText, ALongTokenThatNeverComesIsSoughtInOnePass) {
  auto vocabulary = byte_vocabulary();
  const TokenId mark = vocabulary.add(std::string(60'000, 'a') + "!", TokenKind::user_defined);
  const auto tokenizer = vocabulary.byte_level();
  std::string text = repeated("a", kMegabyte);
  EXPECT_LT(seconds([&] {
              EXPECT_TRUE(tokenizer->encode(text) == std::vector<TokenId>(kMegabyte, 'a'));
            }),
            kPatience);
  // And where it does come, after a beginning of itself.
  text.replace(500'000, 60'001, std::string(60'000, 'a') + "!");
  const auto ids = tokenizer->encode(text);
  ASSERT_EQ(ids.size(), kMegabyte - 60'000);
  EXPECT_EQ(ids[500'000], mark);
}

TEST(HostileText, TheFixtureWithALongTokenIsEncodedInOnePass) {
  const auto path = test::fixtures() / "faults" / "long_special_token.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(path));
  const std::string mark(tokenizer->raw_text(512));
  ASSERT_EQ(mark.size(), 60'001u);
  const std::string text = repeated(mark.substr(0, mark.size() - 1), kMegabyte);
  EXPECT_LT(seconds([&] { EXPECT_TRUE(tokenizer->decode(tokenizer->encode(text)) == text); }),
            kPatience);
}

TEST(HostileText, ThousandsOfTokensWithCommonBeginningsAreSoughtInOnePass) {
  for (const TokenKind kind : {TokenKind::control, TokenKind::user_defined}) {
    auto vocabulary = byte_vocabulary();
    const std::string common(2'000, 'a');
    for (int i = 0; i < 2'000; ++i) vocabulary.add(common + "b" + std::to_string(i) + "!", kind);
    // A short one as well: behind each match the same text would have to be read again.
    const TokenId two = vocabulary.add("aa", kind);
    const auto tokenizer = vocabulary.byte_level();
    EXPECT_LT(seconds([&] {
                EXPECT_EQ(tokenizer->encode(repeated("a", kMegabyte)),
                          std::vector<TokenId>(kMegabyte / 2, two));
              }),
              kPatience);
  }
}

TEST(HostileText, OneWordOfAMegabyte) {
  auto bytes = byte_vocabulary();
  for (std::string a = "a"; a.size() < 40'000; a += a) bytes.merge(a, a);
  auto pieces = sentencepiece_vocabulary();
  for (std::string a = "a"; a.size() < 80'000; a += a) {
    pieces.add(a, TokenKind::normal, -static_cast<float>(a.size()));
  }
  for (const auto& tokenizer : {bytes.byte_level(), pieces.sentencepiece()}) {
    const std::string text = repeated("a", kMegabyte);
    EXPECT_LT(seconds([&] {
                const auto ids = tokenizer->encode(text, {.add_special = false});
                EXPECT_TRUE(tokenizer->decode(ids) == text) << ids.size() << " ids";
              }),
              kPatience);
  }
}

// Pieces that grow by one character: every join looks up a text of thousands of bytes.
TEST(HostileText, PiecesThatGrowByOneCharacter) {
  auto vocabulary = sentencepiece_vocabulary();
  std::mt19937 random(3);
  const std::string longest = random_text(random, 5'000, 26);
  for (char c = 'a'; c <= 'z'; ++c) vocabulary.add(std::string(1, c), TokenKind::normal, -1e6F);
  TokenId last = 0;
  for (std::size_t size = 2; size <= longest.size(); ++size) {
    last = vocabulary.add(longest.substr(0, size), TokenKind::normal, -static_cast<float>(size));
  }
  vocabulary.writer.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = vocabulary.sentencepiece();
  std::vector<TokenId> ids;
  EXPECT_LT(seconds([&] {
              ids = tokenizer->encode(repeated(longest, kMegabyte), {.add_special = false});
            }),
            kPatience);
  EXPECT_EQ(ids, std::vector<TokenId>(kMegabyte / longest.size(), last));
}

TEST(SubstringHash, AgreesWithTheHashOfThePart) {
  std::mt19937 random(31);
  const tokenizer::PolynomialHash hash(random());
  const std::string text = random_text(random, 300, 26) + '\0' + "\xFF";
  const tokenizer::SubstringHash parts(hash, text, 200);
  for (int i = 0; i < 2'000; ++i) {
    const std::size_t begin = random() % text.size();
    const std::size_t size = random() % std::min<std::size_t>(201, text.size() - begin + 1);
    ASSERT_EQ(parts.of(begin, size), hash.of(text.substr(begin, size)));
  }
  EXPECT_NE(hash.of("ab"), hash.of("ba"));
  EXPECT_NE(hash.of(std::string(1, '\0')), hash.of(""));
}

// Every pre-tokenizer against runs that its pattern reads more than once.
TEST(HostileText, RunsOfAnyCharactersAreLinearForEveryPreTokenizer) {
  const std::vector<std::string> parts = {
      " ",    "\n",       " \n",  "\t",      "'",       "'r",       "a",
      "A",    "1",        "!",    "A日",     "日A",     "\xCC\x81", "e\xCC\x81",
      "\xFF", "\xE2\x80", "\r\n", "\u00A0 ", "\u2028",  "a1",       "-A",
      "A'",   "½",        "/",    "\x01",    " \u3000", "\u0800",   "\xF3\xA0\x81\x81"};
  for (const char* name :
       {"default", "gpt-2", "llama-bpe", "qwen2", "qwen35", "gpt-4o", "tekken", "falcon",
        "starcoder", "deepseek-llm", "deepseek-coder", "deepseek-v3", "seed-coder", "command-r"}) {
    auto vocabulary = byte_vocabulary();
    vocabulary.writer.set("tokenizer.ggml.pre", name);
    const auto tokenizer = vocabulary.byte_level();
    for (const std::string& part : parts) {
      for (const char* end : {"", "x", " ", "\n"}) {
        const std::string text = repeated(part, 100'000) + end;
        EXPECT_LT(seconds([&] { tokenizer->encode(text, {.add_special = false}); }), kPatience / 4)
            << name << " on runs of " << testing::PrintToString(part);
      }
    }
  }
}

// Marks in an order that form C must change, all behind one letter.
TEST(HostileText, MarksInTheWrongOrderAreNotSortedOneByOne) {
  auto vocabulary = byte_vocabulary();
  vocabulary.writer.set("tokenizer.ggml.pre", "qwen2");
  const auto tokenizer = vocabulary.byte_level();
  const std::string text = "e" + repeated("\xCC\x81\xCC\xA7", kMegabyte);  // above, below, above …
  std::vector<TokenId> ids;
  EXPECT_LT(seconds([&] { ids = tokenizer->encode(text); }), kPatience);
  // U+0229 is e with the first mark below; then come the others below, then those above.
  ASSERT_EQ(ids.size(), text.size() - 1);
  EXPECT_EQ(std::vector<TokenId>(ids.begin(), ids.begin() + 4),
            (std::vector<TokenId>{0xC8, 0xA9, 0xCC, 0xA7}));
  EXPECT_EQ(std::vector<TokenId>(ids.end() - 2, ids.end()), (std::vector<TokenId>{0xCC, 0x81}));
}

void expect_cancelled(const Tokenizer& tokenizer, std::string_view text, const Cancel& cancel) {
  try {
    tokenizer.encode(text, {.cancel = cancel});
    ADD_FAILURE() << "encoded " << text.size() << " bytes";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), "cancelled") << error.what();
  }
}

TEST(Encode, ACancelledOneEndsInAnError) {
  const Cancel cancel;
  cancel.request();
  auto qwen = byte_vocabulary();
  qwen.writer.set("tokenizer.ggml.pre", "qwen2");
  qwen.add("<|x|>", TokenKind::control);
  for (const auto& tokenizer : {byte_vocabulary().byte_level(), qwen.byte_level(),
                                sentencepiece_vocabulary().sentencepiece()}) {
    for (const std::string& text :
         {std::string("a"), repeated("a", 100'000), repeated("a b", 9), std::string("e\xCC\x81")}) {
      expect_cancelled(*tokenizer, text, cancel);
      EXPECT_FALSE(tokenizer->encode(text, {.cancel = Cancel()}).empty());
    }
  }
}

TEST(Encode, CanBeCancelledFromAnotherThread) {
  auto bytes = byte_vocabulary();
  for (std::string a = "a"; a.size() < 40'000; a += a) bytes.merge(a, a);
  const auto tokenizer = bytes.byte_level();
  const std::string text = repeated("a", 40 * kMegabyte);  // one word
  const Cancel cancel;
  std::thread other([cancel] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel.request();
  });
  expect_cancelled(*tokenizer, text, cancel);
  other.join();
}

}  // namespace
}  // namespace ingot
