// Encoding against other implementations: the published cases of the vocabularies, and ids that
// tests/data/make_tokenizer_golden.py took from Hugging Face's tokenizers and from sentencepiece.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "ingot/tokenizer.hpp"
#include "tests/support/binary_file.hpp"
#include "tests/support/fixtures.hpp"

namespace ingot {
namespace {

constexpr const char* kVocabularies[] = {"deepseek-coder", "deepseek-llm", "falcon",
                                         "gpt-2",          "llama-bpe",    "llama-spm",
                                         "phi-3",          "refact",       "starcoder"};

std::filesystem::path fixture(const std::string& name, const std::string& ending = "") {
  return test::fixtures() / "tokenizers" / ("ggml-vocab-" + name + ".gguf" + ending);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + separator.size();
  }
}

std::vector<TokenId> read_ids(const std::string& line) {
  std::istringstream fields(line);
  return {std::istream_iterator<TokenId>(fields), {}};
}

std::string from_hex(const std::string& digits) {
  std::string text;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    text += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return text;
}

class TokenizerCases : public testing::TestWithParam<const char*> {};

// The cases of a vocabulary as its project publishes them: texts between separator lines (what
// follows the last one is the empty text), a line of ids for each. No special token is added.
TEST_P(TokenizerCases, Match) {
  const std::string name = GetParam();
  INGOT_NEED_FIXTURE(std::filesystem::exists(fixture(name)), fixture(name));
  const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(fixture(name)));
  const auto texts = split(read_text(fixture(name, ".inp")), "\n__ggml_vocab_test__\n");
  const auto lines = split(read_text(fixture(name, ".out")), "\n");
  ASSERT_EQ(texts.size(), 47u);
  ASSERT_EQ(lines.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (const bool parse_special : {false, true}) {
      const auto ids =
          tokenizer->encode(texts[i], {.add_special = false, .parse_special = parse_special});
      EXPECT_EQ(ids, read_ids(lines[i])) << name << " case " << i << ": \"" << texts[i] << '"';
      EXPECT_EQ(tokenizer->decode(ids), texts[i]) << name << " case " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Published, TokenizerCases, testing::ValuesIn(kVocabularies),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(TokenizerGolden, IdsOfFurtherTextsMatch) {
  INGOT_NEED_FIXTURE(std::filesystem::exists(fixture("gpt-2")), fixture("gpt-2"));
  const char* other = std::getenv("INGOT_TOKENIZER_GOLDEN");
  std::ifstream file(other != nullptr ? other : test::test_data("tokenizer/ids.txt"));
  ASSERT_TRUE(file.good()) << "cannot read the golden ids";
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string name;
  std::string text;
  bool parse_special = false;
  std::size_t texts = 0;
  int wrong = 0;
  for (std::string line; std::getline(file, line) && wrong < 10;) {
    const std::string kind = line.substr(0, line.find(' '));
    const std::string rest = line.size() > kind.size() ? line.substr(kind.size() + 1) : "";
    if (kind == "vocabulary") {
      name = rest;
      tokenizer = Tokenizer::from_gguf(GgufFile::open(fixture(name)));
    } else if (kind == "text" || kind == "parsed") {
      parse_special = kind == "parsed";
      text = from_hex(rest);
    } else {
      ASSERT_EQ(kind, "ids");
      const auto ids =
          tokenizer->encode(text, {.add_special = false, .parse_special = parse_special});
      const auto expected = read_ids(rest);
      wrong += ids == expected ? 0 : 1;
      EXPECT_TRUE(ids == expected) << name << ": \"" << text.substr(0, 200) << "\" gives "
                                   << testing::PrintToString(ids).substr(0, 400) << "\nnot "
                                   << testing::PrintToString(expected).substr(0, 400);
      EXPECT_EQ(tokenizer->decode(ids), text) << name;
      ++texts;
    }
  }
  EXPECT_GT(texts, 500u);
}

/// A vocabulary under another pre-tokenizer's name.
std::shared_ptr<const Tokenizer> with_pre_tokenizer(const std::string& name,
                                                    const std::string& pre_tokenizer) {
  const auto file = GgufFile::open(fixture(name));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  writer.set("tokenizer.ggml.pre", pre_tokenizer);
  return Tokenizer::from_gguf(GgufFile::from_bytes(writer.to_bytes(), name));
}

// Texts that the published tokenizers change first: form C, and U+2581 in SentencePiece.
TEST(TokenizerGolden, IdsOfTextsThatAreNormalizedMatch) {
  if (!std::filesystem::exists(fixture("gpt-2"))) {
    GTEST_SKIP() << "no " << fixture("gpt-2") << "; set INGOT_FIXTURES to the golden data's folder";
  }
  struct Case {
    std::string text;
    bool parse_special = false;
    std::vector<TokenId> ids = {};
    std::vector<TokenId> plain = {};  // of the bytes as they are; byte-level only
  };
  std::ifstream file(test::test_data("tokenizer/normalized.txt"));
  ASSERT_TRUE(file.good()) << "cannot read the golden ids";
  std::map<std::pair<std::string, std::string>, std::vector<Case>> vocabularies;
  std::vector<Case>* cases = nullptr;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string kind;
    std::string first;
    fields >> kind;
    const std::string rest = line.size() > kind.size() ? line.substr(kind.size() + 1) : "";
    if (kind == "vocabulary") {
      std::string pre_tokenizer;
      fields >> first >> pre_tokenizer;
      cases = &vocabularies[{first, pre_tokenizer}];
    } else if (kind == "text" || kind == "parsed") {
      cases->push_back({.text = from_hex(rest), .parse_special = kind == "parsed"});
    } else if (kind == "ids") {
      cases->back().ids = cases->back().plain = read_ids(rest);
    } else {
      ASSERT_EQ(kind, "plain");
      cases->back().plain = read_ids(rest);
    }
  }
  std::size_t changed = 0;
  for (const auto& [names, texts] : vocabularies) {
    const auto tokenizer = with_pre_tokenizer(names.first, names.second);
    const bool byte_level = tokenizer->model() == "gpt2";
    EXPECT_EQ(tokenizer->normalizes(), byte_level) << names.second;
    for (const Case& one : texts) {
      const std::string shown = names.second + ": " + testing::PrintToString(one.text);
      EncodeOptions options{.add_special = false, .parse_special = one.parse_special};
      const auto ids = tokenizer->encode(one.text, options);
      EXPECT_EQ(ids, one.ids) << shown;
      if (!one.parse_special) {
        EXPECT_EQ(tokenizer->encode(tokenizer->decode(ids), options), ids) << shown;
      }
      options.normalize = false;
      const auto kept = tokenizer->encode(one.text, options);
      EXPECT_EQ(tokenizer->decode(kept), one.text) << shown;
      if (byte_level) {
        EXPECT_EQ(kept, one.plain) << shown;
      }
      changed += kept != ids ? 1 : 0;
    }
  }
  EXPECT_EQ(vocabularies.size(), 8u);
  EXPECT_GT(changed, 300u);
}

}  // namespace
}  // namespace ingot
