// Small vocabulary files for tests, made in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/byte_level.hpp"

namespace ingot::test {

using namespace internal;

/// Tokens to put into a file; keys can be set or erased on `writer` before it is opened.
struct VocabularyFile {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> kinds;
  std::vector<float> scores;
  std::vector<std::string> merges;
  GgufWriter writer;

  /// Adds a token and returns its id.
  TokenId add(std::string token, TokenKind kind = TokenKind::normal, float score = 0) {
    tokens.push_back(std::move(token));
    kinds.push_back(static_cast<std::int32_t>(kind));
    scores.push_back(score);
    return static_cast<TokenId>(tokens.size()) - 1;
  }

  /// Adds a merge and its token, both sides being tokens already.
  TokenId merge(const std::string& left, const std::string& right) {
    merges.push_back(left + ' ' + right);
    return add(left + right);
  }

  std::shared_ptr<const GgufFile> file(const std::string& model) {
    writer.set("tokenizer.ggml.model", model);
    writer.set("tokenizer.ggml.tokens", tokens);
    if (!kinds.empty()) writer.set("tokenizer.ggml.token_type", kinds);
    if (model == "llama") writer.set("tokenizer.ggml.scores", scores);
    if (model == "gpt2") writer.set("tokenizer.ggml.merges", merges);
    return GgufFile::from_bytes(writer.to_bytes(), "vocabulary.gguf");
  }

  std::shared_ptr<const Tokenizer> byte_level() { return Tokenizer::from_gguf(file("gpt2")); }
  std::shared_ptr<const Tokenizer> sentencepiece() { return Tokenizer::from_gguf(file("llama")); }
};

/// All bytes, whose ids are their values, and nothing else.
inline VocabularyFile byte_vocabulary() {
  VocabularyFile result;
  for (int i = 0; i < 256; ++i) {
    result.add(std::string(tokenizer::spell_byte(static_cast<unsigned char>(i))));
  }
  return result;
}

/// <unk>, <s>, </s>, then all bytes (3 to 258), and nothing else.
inline VocabularyFile sentencepiece_vocabulary() {
  VocabularyFile result;
  result.add("<unk>", TokenKind::unknown);
  result.add("<s>", TokenKind::control);
  result.add("</s>", TokenKind::control);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (unsigned i = 0; i < 256; ++i) {
    result.add(std::string("<0x") + kDigits[i >> 4U] + kDigits[i & 15U] + ">", TokenKind::byte);
  }
  return result;
}

}  // namespace ingot::test
