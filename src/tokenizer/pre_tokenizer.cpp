#include "src/tokenizer/pre_tokenizer.hpp"

#include <algorithm>
#include <array>

#include "src/tokenizer/deepseek_patterns.hpp"
#include "src/tokenizer/patterns.hpp"
#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {
namespace {

using Match = std::size_t (*)(const CharClasses&, std::string_view, std::size_t);

/// Splits by the first matcher, each of its parts by the second, and so on.
template <Match first, Match... rest, class Sink>
void split_by(std::string_view text, const Sink& sink) {
  const auto matcher = [](const CharClasses& classes, std::string_view whole, std::size_t at) {
    return first(classes, whole, at);
  };
  if constexpr (sizeof...(rest) == 0) {
    split_isolated(text, matcher, sink);
  } else {
    split_isolated(text, matcher, [&](std::string_view part) { split_by<rest...>(part, sink); });
  }
}

template <Match... matchers>
void split(std::string_view text, WordSink sink) {
  split_by<matchers...>(text, sink);
}

constexpr Match kLlama3 = match_cl100k<Cl100kOptions{}>;
constexpr Match kQwen2 = match_cl100k<Cl100kOptions{.digits = 1}>;
constexpr Match kQwen35 = match_cl100k<Cl100kOptions{.word = kLetter | kMark, .digits = 1}>;
constexpr Match kSeedCoder = match_cl100k<Cl100kOptions{.digits = 1, .line_ends = false}>;
constexpr Match kGpt4o = match_o200k<true, 3>;
constexpr Match kTekken = match_o200k<false, 1>;
constexpr Match kDigit = match_run<kNumber, 1>;

/// [\p{P}$+<=>^~|]+, with the backtick or without: ASCII's symbols count as punctuation.
template <bool backtick>
std::size_t match_punctuation(const CharClasses& classes, std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const auto c = classes.at(text, at);
    const bool ascii_symbol =
        c.code < 0x80 && (c.bits & kSymbol) != 0 && (backtick || c.code != '`');
    if ((c.bits & kPunctuation) == 0 && !ascii_symbol) break;
    at += c.size;
  }
  return at;
}

/// falcon: [\p{P}$+<=>^~|`]+, GPT-2's, digits+, [0-9][0-9][0-9]. The digits are sought byte by
/// byte, because the tokenizer.json does so behind its byte-level step, among the characters that
/// stand for bytes: those of 0xB2, 0xB3, 0xB9, 0xBC, 0xBD and 0xBE are ²³¹¼½¾, which are numbers.
void split_falcon(std::string_view text, WordSink sink) {
  constexpr std::string_view kNumbers = "0123456789\xB2\xB3\xB9\xBC\xBD\xBE";
  split_by<match_punctuation<true>, match_gpt2>(text, [&](std::string_view word) {
    for (std::size_t at = 0; at < word.size();) {
      const bool is_number = kNumbers.find(word[at]) != std::string_view::npos;
      const std::size_t end =
          is_number ? word.find_first_not_of(kNumbers, at) : word.find_first_of(kNumbers, at);
      const std::string_view part = word.substr(at, end - at);
      if (is_number) {
        split_by<match_three_digits>(part, sink);
      } else {
        sink(part);
      }
      at += part.size();
    }
  });
}

/// deepseek-llm: [\r\n], \s?letters+, \s?punctuation+, \s+$, East Asian+, \p{N}.
void split_deepseek_llm(std::string_view text, WordSink sink) {
  const CharClasses& classes = CharClasses::get();
  split_by<match_newline, match_spaced_set<kDeepSeekLetters>,
           match_spaced_set<kDeepSeekPunctuation>>(text, [&](std::string_view part) {
    // \s+$ is sought once, from the part's start, so that runs of spaces stay linear.
    std::size_t tail = part.size();
    for (std::size_t at = 0; at < part.size();) {
      const std::size_t end = classes.run(part, at, kSpace);
      if (end == part.size()) tail = at;
      at = end == part.size() ? end : classes.run_without(part, end, kSpace);
    }
    for (const std::string_view side : {part.substr(0, tail), part.substr(tail)}) {
      split_by<match_set<kDeepSeekEastAsian>, kDigit>(side, sink);
    }
  });
}

struct Row {
  std::string_view name;
  PreTokenizer value;
};

constexpr auto kGpt2Split = split<match_gpt2>;
constexpr auto kLlama3Split = split<kLlama3>;
constexpr auto kQwen2Split = split<kQwen2>;
constexpr auto kDigitGpt2Split = split<kDigit, match_gpt2>;
constexpr auto kGpt4oSplit = split<kGpt4o>;
constexpr auto kDeepSeek3Split =
    split<match_run<kNumber, 3>, match_set<kDeepSeek3EastAsian>, match_deepseek3>;

constexpr std::array kRows = std::to_array<Row>({
    {"bailingmoe", {kQwen2Split}},
    {"bailingmoe2", {kQwen2Split}},
    {"chatglm-bpe", {kLlama3Split}},
    {"codeshell", {kDigitGpt2Split}},
    {"command-r", {.split = kDigitGpt2Split, .normalizes = true}},
    {"dbrx", {kLlama3Split}},
    {"deepseek-coder",
     {split<match_newline, match_spaced_class<kLetter>, match_spaced_class<kPunctuation>,
            match_set<kDeepSeekEastAsian>, kDigit>}},
    {"deepseek-llm", {split_deepseek_llm}},
    {"deepseek-r1-qwen", {.split = kQwen2Split, .normalizes = true}},
    {"deepseek-v3", {kDeepSeek3Split}},
    {"default",
     {split<match_punctuation<false>, match_gpt2, match_run<kNumber>, match_three_digits>}},
    {"exaone", {kDigitGpt2Split}},
    {"exaone4", {kGpt2Split}},
    {"falcon", {split_falcon}},
    {"falcon-h1", {kLlama3Split, true, true}},
    {"falcon3", {kLlama3Split, true, true}},
    {"glm4", {kLlama3Split}},
    {"gpt-2", {kGpt2Split}},
    {"gpt-4o", {kGpt4oSplit}},
    {"granite-docling", {kGpt2Split}},
    {"grok-2", {kQwen2Split}},
    {"hunyuan", {kQwen2Split}},
    {"hunyuan-dense", {kDeepSeek3Split}},
    {"jais", {kGpt2Split}},
    {"joyai-llm", {kDeepSeek3Split}},
    {"kanana2", {kGpt4oSplit}},
    {"lfm2", {kLlama3Split, true, true}},
    {"llada-moe", {kQwen2Split}},
    {"llama-bpe", {kLlama3Split, true, true}},
    {"llama-v3", {kLlama3Split, true, true}},
    {"llama3", {kLlama3Split, true, true}},
    {"llama4", {kGpt4oSplit}},
    {"megrez", {kQwen2Split}},
    {"mellum", {kGpt2Split}},
    {"midm-2.0", {kLlama3Split, true, true}},
    {"minerva-7b", {kDigitGpt2Split}},
    {"minimax-m2", {kGpt4oSplit}},
    {"mpt", {.split = kGpt2Split, .normalizes = true}},
    {"olmo", {.split = kGpt2Split, .normalizes = true}},
    {"phi-2", {kGpt2Split}},
    {"pixtral", {kLlama3Split, true, true}},
    {"qwen2", {.split = kQwen2Split, .normalizes = true}},
    {"qwen35", {.split = split<kQwen35>, .normalizes = true}},
    {"refact", {kDigitGpt2Split}},
    {"seed-coder", {split<kSeedCoder>}},
    {"smaug-bpe", {kLlama3Split}},
    {"smollm", {kDigitGpt2Split}},
    {"solar-open", {kQwen2Split}},
    {"stablelm2", {kQwen2Split}},
    {"starcoder", {kDigitGpt2Split}},
    {"tekken", {split<kTekken>, true, true}},
    {"trillion", {kGpt2Split}},
});

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  const auto row = std::find_if(kRows.begin(), kRows.end(),
                                [&](const Row& candidate) { return candidate.name == name; });
  return row != kRows.end() ? &row->value : nullptr;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const Row& row : kRows) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace ingot::internal::tokenizer
