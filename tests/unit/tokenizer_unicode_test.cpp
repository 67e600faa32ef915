// UTF-8 read strictly, and the classes of characters. Pre-tokenizers stand on the classes; a
// detokenizer that misjudges a cut-off character shows half of it or holds text back.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "src/tokenizer/byte_level.hpp"
#include "src/tokenizer/normalize.hpp"
#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {
namespace {

std::string repaired(std::string_view text) {
  std::string out;
  append_valid_utf8(text, out);
  return out;
}

TEST(Unicode, DecodesEveryLength) {
  const std::string text = "a\u00e9\u20ac\U0001F680";
  std::size_t at = 0;
  for (const char32_t code : {char32_t{'a'}, char32_t{0xE9}, char32_t{0x20AC}, char32_t{0x1F680}}) {
    const Char c = decode_char(text, at);
    EXPECT_EQ(c.code, code);
    at += c.size;
  }
  EXPECT_EQ(at, text.size());
}

TEST(Unicode, WhatIsNoUtf8IsOneReplacementPerByte) {
  // Overlong, surrogate, above U+10FFFF, cut off, lone continuation.
  for (const char* bad : {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xE2\x82", "\x80", "\xFF"}) {
    const Char c = decode_char(bad, 0);
    EXPECT_EQ(c.code, kReplacement);
    EXPECT_EQ(c.size, 1u);
  }
}

// The examples of Unicode 15, tables 3-8 to 3-11.
TEST(Unicode, MaximalSubpartsAreReplaced) {
  const std::string r(kReplacementUtf8);
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
  EXPECT_EQ(repaired("plain \u00e9"), "plain \u00e9");
}

TEST(Unicode, FindsWhatMayStillBecomeACharacter) {
  EXPECT_EQ(incomplete_tail(""), 0u);
  EXPECT_EQ(incomplete_tail("a"), 0u);
  EXPECT_EQ(incomplete_tail("\u00e9"), 0u);
  EXPECT_EQ(incomplete_tail("a\xC3"), 1u);
  EXPECT_EQ(incomplete_tail("a\xE2\x82"), 2u);
  EXPECT_EQ(incomplete_tail("a\xF0\x9F\x9A"), 3u);
  EXPECT_EQ(incomplete_tail("a\xF0\x9F\x9A\x80"), 0u);
  EXPECT_EQ(incomplete_tail("\x80\x80"), 0u);  // begins no character
  EXPECT_EQ(incomplete_tail("\xE0\x80"), 0u);  // overlong: can't become one
  EXPECT_EQ(incomplete_tail("\xED\xA0"), 0u);  // surrogate
  EXPECT_EQ(incomplete_tail("\xF5"), 0u);
}

TEST(Unicode, ClassesAreTheGeneralCategories) {
  const CharClasses& classes = CharClasses::get();
  EXPECT_EQ(classes[U'A'], kLetter | kUpperLike);
  EXPECT_EQ(classes[U'a'], kLetter | kLowerLike);
  EXPECT_EQ(classes[0x01C5], kLetter | kUpperLike);               // ǅ, title case
  EXPECT_EQ(classes[0x4E2D], kLetter | kUpperLike | kLowerLike);  // 中
  EXPECT_EQ(classes[0x0301], kMark | kUpperLike | kLowerLike);    // combining acute
  EXPECT_EQ(classes[U'7'], kNumber);
  EXPECT_EQ(classes[0x00BD], kNumber);  // ½
  EXPECT_EQ(classes[0x2167], kNumber);  // Ⅷ
  EXPECT_EQ(classes[U'_'], kPunctuation);
  EXPECT_EQ(classes[U'+'], kSymbol);
  EXPECT_EQ(classes[0x1F680], kSymbol);
  for (const char32_t space : {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000,
                               0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}) {
    EXPECT_EQ(classes[space], kSpace) << static_cast<unsigned>(space);
  }
  for (const char32_t none : {0x00, 0x1C, 0x1F, 0x7F, 0x180E, 0x200B, 0xFEFF, 0x0378, 0x10FFFF}) {
    EXPECT_EQ(classes[none], 0) << static_cast<unsigned>(none);
  }
}

std::string composed(std::string_view text) {
  std::string store;
  return std::string(compose(text, Cancel::never(), store));
}

// Unicode Standard Annex 15; many more texts are in tests/data/tokenizer/normalized.txt.
TEST(Compose, GivesFormC) {
  EXPECT_EQ(composed("e\u0301"), "\u00E9");
  EXPECT_EQ(composed("a cafe\u0301 b"), "a caf\u00E9 b");
  EXPECT_EQ(composed("\u212B\u2126"), "\u00C5\u03A9");
  EXPECT_EQ(composed("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(composed("\uAC00\u11A7\u0301"), "\uAC00\u11A7\u0301");  // no trailing jamo yet
  EXPECT_EQ(composed("e\u0327\u0301 e\u0301\u0327"), "\u0229\u0301 \u0229\u0301");
  EXPECT_EQ(composed("\u0958"), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(composed("\u0301e\u0301\u0301"), "\u0301\u00E9\u0301");
  EXPECT_EQ(composed("\U0001D15E"), "\U0001D157\U0001D165");
}

TEST(Compose, LeavesAsciiWhereItIs) {
  std::string store;
  const std::string text = "def f(x):\n\treturn x\x7F";
  EXPECT_EQ(compose(text, Cancel::never(), store).data(), text.data());
  EXPECT_EQ(composed(""), "");
  EXPECT_EQ(composed(std::string("\0e\u0301\0", 5)), std::string("\0\u00E9\0", 4));
}

TEST(Compose, KeepsBytesThatAreNoUtf8) {
  for (const std::string_view text :
       {"\xFF", "\xC3", "e\xCC", "\x81", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\u00E9\xC3"}) {
    EXPECT_EQ(composed(text), text);
  }
  EXPECT_EQ(composed("e\xFF\u0301"), "e\xFF\u0301") << "nothing is composed across them";
  EXPECT_EQ(composed("e\u0301\xFF"
                     "e\u0301"),
            "\u00E9\xFF\u00E9");
}

// Vocabulary files spell all text this way; two bytes with one spelling would be one token.
TEST(ByteLevel, EveryByteHasASpellingOfItsOwn) {
  std::string all;
  std::string spelled;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
    spelled += spell_byte(static_cast<unsigned char>(i));
  }
  std::string back;
  append_unspelled(spelled, back);
  EXPECT_EQ(back, all);
  EXPECT_EQ(spell_byte(' '), "\u0120");   // Ġ
  EXPECT_EQ(spell_byte('\n'), "\u010A");  // Ċ
  EXPECT_EQ(spell_byte('a'), "a");
  EXPECT_EQ(spell_byte(0xAD), "\u0143");
}

}  // namespace
}  // namespace ingot::internal::tokenizer
