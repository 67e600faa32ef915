// The character sets that DeepSeek's pre-tokenizers spell out. Code points, not characters: three
// of the Greek ones have look-alikes that text tools normalize them to.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "src/tokenizer/patterns.hpp"
#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {

struct CodeRange {
  char32_t first;
  char32_t last;
};

template <std::size_t count>
constexpr bool contains(const std::array<CodeRange, count>& ranges, char32_t code) {
  const auto found =
      std::lower_bound(ranges.begin(), ranges.end(), code,
                       [](const CodeRange& range, char32_t value) { return range.last < value; });
  return found != ranges.end() && found->first <= code;
}

/// deepseek-llm's letters: those with case, as the Unicode of its day had them.
inline constexpr std::array kDeepSeekLetters = std::to_array<CodeRange>({
    {'A', 'Z'},         {'a', 'z'},         {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
});

/// deepseek-llm's punctuation: [!-/:-~！-／：-～‘-‟　-。]
inline constexpr std::array kDeepSeekPunctuation = std::to_array<CodeRange>({
    {'!', '/'},
    {':', '~'},
    {0x2018, 0x201F},
    {0x3000, 0x3002},
    {0xFF01, 0xFF0F},
    {0xFF1A, 0xFF5E},
});

/// [一-龥ࠀ-一가-퟿], in deepseek-llm and deepseek-coder.
inline constexpr std::array kDeepSeekEastAsian = std::to_array<CodeRange>({
    {0x0800, 0x9FA5},
    {0xAC00, 0xD7FF},
});

/// [一-龥぀-ゟ゠-ヿ], in deepseek-v3.
inline constexpr std::array kDeepSeek3EastAsian = std::to_array<CodeRange>({
    {0x3040, 0x30FF},
    {0x4E00, 0x9FA5},
});

/// The set's ASCII part as a table: most of source code is looked up there.
template <const auto& ranges>
inline constexpr auto kAsciiOf = [] {
  std::array<bool, 128> table{};
  for (char32_t code = 0; code < table.size(); ++code) table[code] = contains(ranges, code);
  return table;
}();

template <const auto& ranges>
constexpr bool is_in(char32_t code) {
  return code < 0x80 ? kAsciiOf<ranges>[code] : contains(ranges, code);
}

/// A run of the characters of a set.
template <const auto& ranges>
std::size_t match_set(const CharClasses&, std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Char c = decode_char(text, at);
    if (!is_in<ranges>(c.code)) break;
    at += c.size;
  }
  return at;
}

/// \s? and a run of the characters of a set.
template <const auto& ranges>
std::size_t match_spaced_set(const CharClasses& classes, std::string_view text, std::size_t at) {
  return match_spaced_run(classes, text, at,
                          [](char32_t code, CharClass) { return is_in<ranges>(code); });
}

/// \s? and a run of one class.
template <CharClass mask>
std::size_t match_spaced_class(const CharClasses& classes, std::string_view text, std::size_t at) {
  return match_spaced_run(classes, text, at,
                          [](char32_t, CharClass bits) { return (bits & mask) != 0; });
}

/// deepseek-v3's last and main pattern:
///   [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
///   | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
/// Characters that none of it matches (controls, unassigned ones) stay between the matches.
inline std::size_t match_deepseek3(const CharClasses& classes, std::string_view text,
                                   std::size_t at) {
  constexpr CharClass kSign = kPunctuation | kSymbol;
  constexpr CharClass kWord = kLetter | kMark;
  const auto first = classes.at(text, at);
  const std::size_t after = at + first.size;
  const auto is_ascii_letter = [&](std::size_t i) {
    const auto c = static_cast<unsigned char>(text[i] | 0x20);
    return c >= 'a' && c <= 'z';
  };
  if (first.code < 0x80 && (first.bits & kSign) != 0 && after < text.size() &&
      is_ascii_letter(after)) {
    std::size_t end = after;
    while (end < text.size() && is_ascii_letter(end)) ++end;
    return end;
  }
  if ((first.bits & kWord) != 0) return classes.run(text, after, kWord);
  const CharClass second = after < text.size() ? classes.at(text, after).bits : CharClass{0};
  if ((first.bits & kSign) == 0 && !is_newline(first.code) && (second & kWord) != 0) {
    return classes.run(text, after, kWord);
  }
  if ((first.bits & kSign) != 0 || (first.code == ' ' && (second & kSign) != 0)) {
    std::size_t end = classes.run(text, after, kSign);
    while (end < text.size() && is_newline(static_cast<unsigned char>(text[end]))) ++end;
    return end;
  }
  return (first.bits & kSpace) != 0 ? match_lines_or_spaces(classes, text, at) : at;
}

}  // namespace ingot::internal::tokenizer
