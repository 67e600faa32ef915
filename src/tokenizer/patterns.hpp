// The published pre-tokenizer patterns as hand-written scanners. Each is a matcher: given a text
// and a position it returns the end of the match that begins there, or the position when none does.
// What a leftmost-first regular expression with backtracking would match, these match, in linear
// time; the pattern stands above each in the notation of its tokenizer.json.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {

/// Cuts a text into the matches and what lies between them, in order ("Isolated" splitting).
template <class Match, class Next>
void split_isolated(std::string_view text, const Match& match, const Next& next) {
  const CharClasses& classes = CharClasses::get();
  std::size_t gap = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = match(classes, text, at);
    if (end == at) {
      at += classes.at(text, at).size;
      continue;
    }
    if (gap < at) next(text.substr(gap, at - gap));
    next(text.substr(at, end - at));
    gap = at = end;
  }
  if (gap < text.size()) next(text.substr(gap));
}

inline bool is_newline(char32_t code) {
  return code == '\r' || code == '\n';
}

/// 's|'t|'re|'ve|'m|'ll|'d; with `any_case` as (?i:…), where s is also U+017F (ſ), which folds to
/// it.
template <bool any_case>
std::size_t match_contraction(std::string_view text, std::size_t at) {
  if (text[at] != '\'' || at + 1 >= text.size()) return at;
  const auto letter = [&](std::size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1);
  const char second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l')) {
    return at + 3;
  }
  if (any_case && text.substr(at + 1, 2) == "\xC5\xBF") return at + 3;
  return at;
}

/// \s+(?!\S)|\s+ from a space on: all of the run at the text's end, else all but its last
/// character, which belongs to what follows, else (one character) that one.
inline std::size_t match_spaces(const CharClasses& classes, std::string_view text, std::size_t at) {
  std::size_t last = at;
  std::size_t end = at;
  while (end < text.size()) {
    const auto c = classes.at(text, end);
    if ((c.bits & kSpace) == 0) return last == at ? end : last;
    last = end;
    end += c.size;
  }
  return end;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ from a space on: to the last line end of the run, if it has one.
inline std::size_t match_lines_or_spaces(const CharClasses& classes, std::string_view text,
                                         std::size_t at) {
  std::size_t end = at;
  std::size_t after_newline = at;
  while (end < text.size()) {
    const auto c = classes.at(text, end);
    if ((c.bits & kSpace) == 0) break;
    end += c.size;
    if (is_newline(c.code)) after_newline = end;
  }
  return after_newline != at ? after_newline : match_spaces(classes, text, at);
}

/// Up to `most` characters of a class.
inline std::size_t match_up_to(const CharClasses& classes, std::string_view text, std::size_t at,
                               CharClass mask, int most) {
  for (; most > 0 && at < text.size(); --most) {
    const auto c = classes.at(text, at);
    if ((c.bits & mask) == 0) break;
    at += c.size;
  }
  return at;
}

/// GPT-2:
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
inline std::size_t match_gpt2(const CharClasses& classes, std::string_view text, std::size_t at) {
  if (const std::size_t end = match_contraction<false>(text, at); end != at) return end;
  const std::size_t start = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  const auto c = classes.at(text, start);
  if ((c.bits & kLetter) != 0) return classes.run(text, start + c.size, kLetter);
  if ((c.bits & kNumber) != 0) return classes.run(text, start + c.size, kNumber);
  if ((c.bits & kSpace) == 0) {
    return classes.run_without(text, start + c.size, kSpace | kLetter | kNumber);
  }
  return match_spaces(classes, text, at);
}

/// What cl100k's descendants differ in.
struct Cl100kOptions {
  CharClass word = kLetter;  ///< characters of a word
  int digits = 3;            ///< longest number; 0: no limit
  bool line_ends = true;     ///< symbols take the line ends behind them
};

/// cl100k (GPT-4, Llama 3, Qwen2), for word = \p{L}, digits = 3:
///   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
///   | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <Cl100kOptions options>
std::size_t match_cl100k(const CharClasses& classes, std::string_view text, std::size_t at) {
  if (const std::size_t end = match_contraction<true>(text, at); end != at) return end;
  const auto first = classes.at(text, at);
  const std::size_t after = at + first.size;
  if ((first.bits & options.word) != 0) return classes.run(text, after, options.word);
  if ((first.bits & kNumber) != 0) {
    return options.digits == 0 ? classes.run(text, after, kNumber)
                               : match_up_to(classes, text, after, kNumber, options.digits - 1);
  }
  CharClass second = kSpace;
  if (after < text.size()) {
    second = classes.at(text, after).bits;
    if ((second & options.word) != 0 && !is_newline(first.code)) {
      return classes.run(text, after, options.word);
    }
  }
  constexpr CharClass kNotSymbol = kSpace | kNumber | options.word;
  if ((first.bits & kNotSymbol) == 0 || (first.code == ' ' && (second & kNotSymbol) == 0)) {
    std::size_t end = classes.run_without(text, after, kNotSymbol);
    while (options.line_ends && end < text.size() &&
           is_newline(static_cast<unsigned char>(text[end]))) {
      ++end;
    }
    return end;
  }
  return match_lines_or_spaces(classes, text, at);
}

/// [U]*[W]+ or, failing that, [U]+[W]* from `at` on, where U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and
/// W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]: `lower_needed` picks the first form.
inline std::size_t match_cased(const CharClasses& classes, std::string_view text, std::size_t at,
                               bool lower_needed) {
  std::size_t end = at;
  std::size_t after_both = at;  // the end of the last character that is U and W
  while (end < text.size()) {
    const auto c = classes.at(text, end);
    if ((c.bits & kUpperLike) == 0) break;
    end += c.size;
    if ((c.bits & kLowerLike) != 0) after_both = end;
  }
  const std::size_t lower_end = classes.run(text, end, kLowerLike);
  if (!lower_needed) return end == at ? at : lower_end;
  // U* gives back characters until W+ finds one: that is the last one in both classes.
  return lower_end != end ? lower_end : after_both;
}

/// o200k (GPT-4o, gpt-oss, Llama 4) with contractions and digits = 3; tekken without and 1:
///   [^\r\n\p{L}\p{N}]?[U]*[W]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///   |[^\r\n\p{L}\p{N}]?[U]+[W]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///   |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <bool contractions, int digits>
std::size_t match_o200k(const CharClasses& classes, std::string_view text, std::size_t at) {
  const auto first = classes.at(text, at);
  const std::size_t after = at + first.size;
  const bool may_lead = (first.bits & (kLetter | kNumber)) == 0 && !is_newline(first.code);
  for (const bool lower_needed : {true, false}) {
    std::size_t end = after;
    if (may_lead) end = match_cased(classes, text, after, lower_needed);
    if (end == after) {
      end = match_cased(classes, text, at, lower_needed);
      if (end == at) continue;
    }
    return contractions && end < text.size() ? match_contraction<true>(text, end) : end;
  }
  if ((first.bits & kNumber) != 0) {
    return match_up_to(classes, text, after, kNumber, digits - 1);
  }
  constexpr CharClass kNotSymbol = kSpace | kLetter | kNumber;
  if ((first.bits & kNotSymbol) == 0 || (first.code == ' ' && after < text.size() &&
                                         (classes.at(text, after).bits & kNotSymbol) == 0)) {
    std::size_t end = classes.run_without(text, after, kNotSymbol);
    while (end < text.size() && (text[end] == '/' || text[end] == '\r' || text[end] == '\n')) ++end;
    return end;
  }
  return match_lines_or_spaces(classes, text, at);
}

/// A run of one class: \p{N}+ and the like; with `most`, at most so many.
template <CharClass mask, int most = 0>
std::size_t match_run(const CharClasses& classes, std::string_view text, std::size_t at) {
  return most == 0 ? classes.run(text, at, mask) : match_up_to(classes, text, at, mask, most);
}

/// [\r\n]
inline std::size_t match_newline(const CharClasses&, std::string_view text, std::size_t at) {
  return is_newline(static_cast<unsigned char>(text[at])) ? at + 1 : at;
}

/// \s?X+ for the characters X that `is_x(code, bits)` knows.
template <class IsX>
std::size_t match_spaced_run(const CharClasses& classes, std::string_view text, std::size_t at,
                             const IsX& is_x) {
  const auto first = classes.at(text, at);
  std::size_t end = at + first.size;
  if (!is_x(first.code, first.bits)) {
    if ((first.bits & kSpace) == 0 || end == text.size()) return at;
    const auto second = classes.at(text, end);
    if (!is_x(second.code, second.bits)) return at;
    end += second.size;
  }
  while (end < text.size()) {
    const auto c = classes.at(text, end);
    if (!is_x(c.code, c.bits)) break;
    end += c.size;
  }
  return end;
}

/// [0-9][0-9][0-9]
inline std::size_t match_three_digits(const CharClasses&, std::string_view text, std::size_t at) {
  const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  return at + 3 <= text.size() && digit(at) && digit(at + 1) && digit(at + 2) ? at + 3 : at;
}

}  // namespace ingot::internal::tokenizer
