// The pre-tokenizers against the published ones, run by another implementation
// (tests/data/make_pretokenizer_golden.py). If this fails, models get words they never saw.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/pre_tokenizer.hpp"
#include "tests/support/binary_file.hpp"

namespace ingot::internal::tokenizer {
namespace {

std::vector<std::size_t> word_lengths(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::size_t> lengths;
  pre_tokenizer.split(text, [&](std::string_view word) { lengths.push_back(word.size()); });
  return lengths;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

TEST(PreTokenizer, CutsAsPublished) {
  const char* other = std::getenv("INGOT_PRE_TOKENIZER_GOLDEN");
  const std::filesystem::path path =
      other != nullptr ? other : test::test_data("tokenizer/pre_tokenizers.txt");
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << "cannot read " << path;
  std::string text;
  std::string hex;
  std::set<std::string> names;
  std::size_t wrong = 0;
  for (std::string line; std::getline(file, line) && wrong < 20;) {
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    if (name == "text") {
      hex.clear();
      fields >> hex;
      text = from_hex(hex);
      continue;
    }
    names.insert(name);
    std::vector<std::size_t> expected;
    for (std::size_t length = 0; fields >> length;) expected.push_back(length);
    const PreTokenizer* pre_tokenizer = find_pre_tokenizer(name);
    ASSERT_NE(pre_tokenizer, nullptr) << name;
    const auto found = word_lengths(*pre_tokenizer, text);
    wrong += found == expected ? 0 : 1;
    EXPECT_EQ(found, expected) << name << " on \"" << text << "\" = " << hex;
  }
  EXPECT_EQ(names.size(), 13u);
}

// Words must join to the text for any bytes, or encoding would lose some.
TEST(PreTokenizer, LosesNoByteOfAnyText) {
  std::vector<std::string> names;
  std::istringstream list(pre_tokenizer_names());
  for (std::string name; std::getline(list >> std::ws, name, ',');) names.push_back(name);
  ASSERT_GT(names.size(), 30u);
  unsigned state = 1;
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      state = state * 1664525U + 1013904223U;
      text += static_cast<char>(state >> 24U);
    }
    for (const std::string& name : names) {
      std::string joined;
      find_pre_tokenizer(name)->split(text, [&](std::string_view word) {
        EXPECT_FALSE(word.empty()) << name;
        joined += word;
      });
      ASSERT_EQ(joined, text) << name;
    }
  }
}

TEST(PreTokenizer, KnowsTheNamesThatFilesCarry) {
  for (const char* name :
       {"default", "gpt-2", "llama-bpe", "llama3", "llama-v3", "qwen2", "deepseek-coder",
        "deepseek-llm", "deepseek-r1-qwen", "deepseek-v3", "starcoder", "refact", "falcon", "olmo",
        "gpt-4o", "tekken", "smollm", "command-r"}) {
    EXPECT_NE(find_pre_tokenizer(name), nullptr) << name;
  }
  EXPECT_EQ(find_pre_tokenizer("no-such"), nullptr);
  EXPECT_EQ(find_pre_tokenizer(""), nullptr);
}

}  // namespace
}  // namespace ingot::internal::tokenizer
