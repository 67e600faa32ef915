// Tokenizers over small vocabularies made here, each for one rule.
#include "ingot/tokenizer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/vocabulary_file.hpp"

namespace ingot {
namespace {

using Ids = std::vector<TokenId>;
using test::byte_vocabulary;
using test::sentencepiece_vocabulary;

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kParsed{.add_special = false, .parse_special = true};

TEST(ByteLevelBpe, EarlierMergesWin) {
  auto vocabulary = byte_vocabulary();
  const TokenId bc = vocabulary.merge("b", "c");
  const TokenId ab = vocabulary.merge("a", "b");
  const TokenId abc = vocabulary.merge("a", "bc");
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->encode("abc", kPlain), Ids{abc});
  EXPECT_EQ(tokenizer->encode("ab", kPlain), Ids{ab});
  EXPECT_EQ(tokenizer->encode("xbc", kPlain), (Ids{'x', bc}));
  EXPECT_EQ(tokenizer->piece(abc), "abc");
  EXPECT_EQ(tokenizer->find("abc"), abc);
  EXPECT_EQ(tokenizer->find("cab"), std::nullopt);
}

TEST(ByteLevelBpe, MergesStayWithinWords) {
  auto vocabulary = byte_vocabulary();
  vocabulary.merge("a", "Ġ");
  const TokenId space_b = vocabulary.merge("Ġ", "b");
  vocabulary.writer.set("tokenizer.ggml.pre", "gpt-2");
  EXPECT_EQ(vocabulary.byte_level()->encode("a b", kPlain), (Ids{'a', space_b}));
}

// Llama 3's vocabulary has words that its merges don't reach.
TEST(ByteLevelBpe, WholeWordsComeFirstWhereThePreTokenizerSaysSo) {
  for (const bool whole : {false, true}) {
    auto vocabulary = byte_vocabulary();
    const TokenId word = vocabulary.add("word");
    vocabulary.writer.set("tokenizer.ggml.pre", whole ? "llama-bpe" : "qwen2");
    EXPECT_EQ(vocabulary.byte_level()->encode("word", kPlain),
              whole ? Ids{word} : (Ids{'w', 'o', 'r', 'd'}));
  }
}

TEST(ByteLevelBpe, MissingBytesAreReplacedAndNeverDropped) {
  auto vocabulary = byte_vocabulary();
  vocabulary.tokens['\x03'] = "[unused]";
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->encode("a\x03z", kPlain), (Ids{'a', 0xEF, 0xBF, 0xBD, 'z'}));
  // A whole character is replaced, not one of its bytes.
  auto without = byte_vocabulary();
  without.tokens[0xF1] = "[unused]";
  EXPECT_EQ(without.byte_level()->encode("\xF1\x80\x80\x80", kPlain), (Ids{0xEF, 0xBF, 0xBD}));
}

TEST(ByteLevelBpe, WithoutReplacementTheUnknownTokenOrAnError) {
  auto vocabulary = byte_vocabulary();
  vocabulary.tokens['\x03'] = "[unused1]";
  vocabulary.tokens[0xEF] = "[unused2]";
  EXPECT_THROW(vocabulary.byte_level()->encode("\x03", kPlain), Error);
  const TokenId unknown = vocabulary.add("<unk>", TokenKind::unknown);
  vocabulary.writer.set("tokenizer.ggml.unknown_token_id", unknown);
  EXPECT_EQ(vocabulary.byte_level()->encode("\x03", kPlain), Ids{unknown});
}

TEST(SentencePiece, HigherScoresWinAndLeftmostOfEqualOnes) {
  auto vocabulary = sentencepiece_vocabulary();
  const TokenId a = vocabulary.add("a", TokenKind::normal, -9);
  const TokenId b = vocabulary.add("b", TokenKind::normal, -9);
  const TokenId ab = vocabulary.add("ab", TokenKind::normal, -3);
  const TokenId ba = vocabulary.add("ba", TokenKind::normal, -2);
  const TokenId aa = vocabulary.add("aa", TokenKind::normal, -1);
  vocabulary.writer.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = vocabulary.sentencepiece();
  EXPECT_EQ(tokenizer->encode("aba", kPlain), (Ids{a, ba}));
  EXPECT_EQ(tokenizer->encode("aaa", kPlain), (Ids{aa, a}));
  EXPECT_EQ(tokenizer->encode("ab", kPlain), Ids{ab});
  EXPECT_EQ(tokenizer->encode("bb", kPlain), (Ids{b, b}));
}

TEST(SentencePiece, SpacesAreMarksInTheFileAndOneIsAdded) {
  auto vocabulary = sentencepiece_vocabulary();
  const TokenId mark = vocabulary.add("▁", TokenKind::normal, -5);
  const TokenId a = vocabulary.add("a", TokenKind::normal, -6);
  const TokenId mark_a = vocabulary.add("▁a", TokenKind::normal, -1);
  const auto tokenizer = vocabulary.sentencepiece();
  EXPECT_TRUE(tokenizer->adds_space_prefix());
  EXPECT_EQ(tokenizer->encode("a", kPlain), Ids{mark_a});
  EXPECT_EQ(tokenizer->encode(" a", kPlain), (Ids{mark, mark_a}));
  EXPECT_EQ(tokenizer->encode("", kPlain), Ids{});
  EXPECT_EQ(tokenizer->encode("", {}), Ids{1});
  EXPECT_EQ(tokenizer->decode(Ids{1, mark, mark_a}, {.skip_special = true}), " a");
  EXPECT_EQ(tokenizer->decode(Ids{mark_a}, {.strip_added_space = false}), " a");
  // Text behind a special token gets its space too.
  EXPECT_EQ(tokenizer->encode("a</s>a", kParsed), (Ids{mark_a, 2, mark_a}));
  vocabulary.writer.set("tokenizer.ggml.add_space_prefix", false);
  EXPECT_EQ(vocabulary.sentencepiece()->encode("a", kPlain), Ids{a});
}

TEST(SentencePiece, WhatIsNoTokenIsSpelledInBytes) {
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.writer.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = vocabulary.sentencepiece();
  EXPECT_EQ(tokenizer->encode("é\xFF", kPlain), (Ids{3 + 0xC3, 3 + 0xA9, 3 + 0xFF}));
  EXPECT_EQ(tokenizer->decode(Ids{3 + 0xC3, 3 + 0xA9}), "é");
  // Without that byte's token the whole character is unknown.
  vocabulary.kinds[3 + 0xA9] = static_cast<std::int32_t>(TokenKind::unused);
  vocabulary.tokens[3 + 0xA9] = "[gone]";
  EXPECT_EQ(vocabulary.sentencepiece()->encode("xéy", kPlain), (Ids{3 + 'x', 0, 3 + 'y'}));
}

TEST(SentencePiece, OldFilesWithoutKindsHaveTheirBytes) {
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.kinds.clear();
  vocabulary.writer.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = vocabulary.sentencepiece();
  EXPECT_EQ(tokenizer->encode("\n", kPlain), Ids{3 + '\n'});
  EXPECT_EQ(tokenizer->kind(3), TokenKind::byte);
}

TEST(SpecialTokens, TheLongestThatBeginsFirstIsFound) {
  auto vocabulary = byte_vocabulary();
  const TokenId mark = vocabulary.add("<m>", TokenKind::control);
  const TokenId longer = vocabulary.add("<m><m>x", TokenKind::control);
  const TokenId user = vocabulary.add("<u>", TokenKind::user_defined);
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->encode("<m><m>x", kParsed), Ids{longer});
  EXPECT_EQ(tokenizer->encode("<m><m>y", kParsed), (Ids{mark, mark, 'y'}));
  EXPECT_EQ(tokenizer->encode("<<m>", kParsed), (Ids{'<', mark}));
  EXPECT_EQ(tokenizer->encode("<m", kParsed), (Ids{'<', 'm'}));
  // User-defined tokens are text and found either way.
  EXPECT_EQ(tokenizer->encode("<u><m>", kPlain), (Ids{user, '<', 'm', '>'}));
  EXPECT_EQ(tokenizer->decode(Ids{user, mark}, {.skip_special = true}), "<u>");
}

TEST(SpecialTokens, BosAndEosAsTheFileAsks) {
  auto vocabulary = byte_vocabulary();
  const TokenId bos = vocabulary.add("<s>", TokenKind::control);
  const TokenId eos = vocabulary.add("</s>", TokenKind::control);
  vocabulary.writer.set("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(bos));
  vocabulary.writer.set("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(eos));
  EXPECT_EQ(vocabulary.byte_level()->encode("a"), Ids{'a'});  // byte-level: not unless asked
  vocabulary.writer.set("tokenizer.ggml.pre", "llama-bpe");
  EXPECT_EQ(vocabulary.byte_level()->encode("a"), (Ids{bos, 'a'}));  // but for Llama 3
  vocabulary.writer.set("tokenizer.ggml.add_bos_token", false);
  vocabulary.writer.set("tokenizer.ggml.add_eos_token", true);
  EXPECT_EQ(vocabulary.byte_level()->encode("a"), (Ids{'a', eos}));
  EXPECT_EQ(vocabulary.byte_level()->encode("a", kParsed), Ids{'a'});
}

TEST(SpecialTokens, DefaultsOfFilesThatNameNone) {
  const auto sentencepiece = sentencepiece_vocabulary().sentencepiece();
  EXPECT_EQ(sentencepiece->bos(), 1);
  EXPECT_EQ(sentencepiece->eos(), 2);
  EXPECT_EQ(sentencepiece->unknown(), 0);
  EXPECT_TRUE(sentencepiece->adds_bos());
  EXPECT_FALSE(sentencepiece->adds_eos());
  EXPECT_EQ(sentencepiece->end_of_generation(), Ids{2});
  auto vocabulary = byte_vocabulary();
  EXPECT_EQ(vocabulary.byte_level()->bos(), std::nullopt);
  EXPECT_TRUE(vocabulary.byte_level()->end_of_generation().empty());
  const TokenId end = vocabulary.add("<|endoftext|>", TokenKind::control);
  EXPECT_EQ(vocabulary.byte_level()->eos(), end);
  EXPECT_EQ(vocabulary.byte_level()->pre_tokenizer(), "default");
}

// A chat model that runs on past <|im_end|> answers itself.
TEST(SpecialTokens, EveryEndOfGenerationIsFound) {
  auto vocabulary = byte_vocabulary();
  const TokenId eos = vocabulary.add("[end]", TokenKind::control);
  const TokenId eot = vocabulary.add("[turn]", TokenKind::control);
  const TokenId eom = vocabulary.add("[message]", TokenKind::control);
  const TokenId im_end = vocabulary.add("<|im_end|>", TokenKind::control);
  const TokenId mistyped = vocabulary.add("<|eot_id|>", TokenKind::normal);
  const TokenId strike = vocabulary.add("</s>", TokenKind::normal);  // HTML, not a mark
  const TokenId fim_pad = vocabulary.add("<|fim_pad|>", TokenKind::control);
  const TokenId separator = vocabulary.add("<|file_sep|>", TokenKind::control);
  vocabulary.writer.set("tokenizer.ggml.eos_token_id", eos);
  vocabulary.writer.set("tokenizer.ggml.eot_token_id", eot);
  vocabulary.writer.set("tokenizer.ggml.eom_token_id", eom);
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->end_of_generation(),
            (Ids{eos, eot, eom, im_end, mistyped, fim_pad, separator}));
  EXPECT_TRUE(tokenizer->is_end_of_generation(im_end));
  EXPECT_FALSE(tokenizer->is_end_of_generation(strike));
  EXPECT_TRUE(tokenizer->is_control(mistyped));
  EXPECT_EQ(tokenizer->encode("<|eot_id|>", kParsed), Ids{mistyped});
  EXPECT_EQ(tokenizer->eot(), eot);
}

// In gpt-oss's format an answer has several messages, each closed by <|end|>.
TEST(SpecialTokens, AMessageEndIsNoEndWhereAnswersHaveSeveralMessages) {
  auto vocabulary = byte_vocabulary();
  const TokenId end = vocabulary.add("<|end|>", TokenKind::control);
  EXPECT_EQ(vocabulary.byte_level()->end_of_generation(), Ids{end});
  const TokenId result = vocabulary.add("<|return|>", TokenKind::control);
  const TokenId call = vocabulary.add("<|call|>", TokenKind::control);
  EXPECT_EQ(vocabulary.byte_level()->end_of_generation(), (Ids{result, call}));
}

TEST(SpecialTokens, FimByKeyOldKeyAndName) {
  auto vocabulary = byte_vocabulary();
  const TokenId one = vocabulary.add("[1]", TokenKind::control);
  const TokenId two = vocabulary.add("[2]", TokenKind::control);
  const TokenId suffix = vocabulary.add("<|fim_suffix|>", TokenKind::control);
  const TokenId middle = vocabulary.add("▁<MID>", TokenKind::normal);
  vocabulary.add("<PRE>", TokenKind::normal);  // HTML, not a mark
  EXPECT_FALSE(vocabulary.byte_level()->fim().complete());
  vocabulary.writer.set("tokenizer.ggml.fim_pre_token_id", one);
  vocabulary.writer.set("tokenizer.ggml.suffix_token_id", two);
  const auto tokenizer = vocabulary.byte_level();
  EXPECT_EQ(tokenizer->fim().prefix, one);
  EXPECT_EQ(tokenizer->fim().suffix, two);
  EXPECT_EQ(tokenizer->fim().middle, middle);
  EXPECT_TRUE(tokenizer->fim().complete());
  EXPECT_TRUE(tokenizer->is_control(suffix));
  EXPECT_EQ(tokenizer->piece(middle), "▁<MID>");
}

TEST(Streaming, CharactersComeWhole) {
  const auto tokenizer = byte_vocabulary().byte_level();
  StreamingDetokenizer stream(tokenizer);
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x9A), "");
  EXPECT_EQ(stream.push(0x80), "🚀");
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xE2), "");
  // 'b' shows that the character will never be complete.
  EXPECT_EQ(stream.push('b'), "\uFFFDb");
  EXPECT_EQ(stream.push(0xFF), "\uFFFD");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_THROW(stream.push(256), Error);
}

TEST(Streaming, BytesCanBeKept) {
  StreamingDetokenizer stream(byte_vocabulary().byte_level(), {}, InvalidBytes::keep);
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.push('b'),
            "\xE2"
            "b");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.finish(), "\xC3");
}

TEST(Streaming, ControlTokensAndTheAddedSpaceAsAsked) {
  auto vocabulary = sentencepiece_vocabulary();
  const TokenId mark = vocabulary.add("▁", TokenKind::normal, -1);
  const auto tokenizer = vocabulary.sentencepiece();
  StreamingDetokenizer plain(tokenizer);
  EXPECT_EQ(plain.push(1) + plain.push(mark) + plain.push(mark), "  ");
  StreamingDetokenizer all(tokenizer, {.skip_special = false, .strip_added_space = true});
  EXPECT_EQ(all.push(1) + all.push(mark) + all.push(mark) + all.push(2), "<s> </s>");
}

}  // namespace
}  // namespace ingot
