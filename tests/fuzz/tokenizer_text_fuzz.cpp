// Any text: every pre-tokenizer cuts it without losing a byte, and a vocabulary that has all bytes
// gives it back, in one piece and streamed.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "src/tokenizer/pre_tokenizer.hpp"
#include "support/vocabulary_file.hpp"

namespace {

using ingot::TokenId;
using ingot::TokenKind;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// Bytes and chains of merges that build long runs, so that short texts reach every way of merging.
std::shared_ptr<const ingot::Tokenizer> byte_level() {
  auto vocabulary = ingot::test::byte_vocabulary();
  vocabulary.writer.set("tokenizer.ggml.pre", "llama-bpe");
  for (const char* part : {"a", "aa", "aaaa", "Ġ", "ĠĠ", "Ċ", "Ã", "å"}) {
    vocabulary.merge(part, part);
  }
  for (const char* part : {"a", "b", "c"}) vocabulary.merge("Ġ", part);
  vocabulary.add("<|m|>", TokenKind::user_defined);
  return vocabulary.byte_level();
}

std::shared_ptr<const ingot::Tokenizer> sentencepiece() {
  auto vocabulary = ingot::test::sentencepiece_vocabulary();
  float score = 0;
  for (const char* piece : {"▁", "a", "b", "é", "中", "▁▁", "▁▁▁▁", "aa", "aaaa", "▁a", "ab", "ba",
                            "a中", "中é", "é▁", "b▁a"}) {
    vocabulary.add(piece, TokenKind::normal, score -= 1);
  }
  return vocabulary.sentencepiece();
}

void round_trip(const std::shared_ptr<const ingot::Tokenizer>& tokenizer, const std::string& text) {
  const auto ids = tokenizer->encode(text, {.add_special = true, .parse_special = false});
  require(tokenizer->decode(ids, {.skip_special = true}) == text, "decoding gives another text");
  ingot::StreamingDetokenizer stream(tokenizer, {.skip_special = true, .strip_added_space = true},
                                     ingot::InvalidBytes::keep);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(id);
  require(streamed + stream.finish() == text, "streaming gives another text");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kByteLevel = byte_level();
  static const auto kSentencePiece = sentencepiece();
  static const std::string kNames = ingot::internal::tokenizer::pre_tokenizer_names();
  const std::string text(data, data + size);
  round_trip(kByteLevel, text);
  round_trip(kSentencePiece, text);
  std::istringstream names(kNames);
  for (std::string name; std::getline(names >> std::ws, name, ',');) {
    std::string joined;
    ingot::internal::tokenizer::find_pre_tokenizer(name)->split(text, [&](std::string_view word) {
      require(!word.empty(), "an empty word");
      joined += word;
    });
    require(joined == text, "words do not join to the text");
  }
  return 0;
}
