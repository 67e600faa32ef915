// Any vocabulary: a tokenizer is refused with an ingot::Error, or it encodes texts into ids that it
// knows, decodes each of them, and never streams anything but whole characters.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "ingot/gguf.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/unicode.hpp"

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// Code and prose, two- to four-byte characters, bytes that are no UTF-8; then the vocabulary's own
/// tokens, joined, so that its special tokens and merges are met. At most a few kilobytes.
std::vector<std::string> texts(const ingot::Tokenizer& tokenizer) {
  std::string own;
  const std::int32_t count = std::min<std::int32_t>(tokenizer.vocabulary_size(), 512);
  for (std::int32_t id = 0; id < count && own.size() < 4096; ++id) {
    own += tokenizer.raw_text(id).substr(0, 256);
    own += tokenizer.piece(id).substr(0, 256);
  }
  return {"",
          "def f(x):\n    return x + 1.5  # caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d 123456\r\n\t",
          std::string("\0\xff\xc3 \xe2\x82\xf0\x9f z", 10), std::string(300, 'a'), own};
}

void round_trip(const std::shared_ptr<const ingot::Tokenizer>& tokenizer, const std::string& text,
                ingot::EncodeOptions options) {
  std::vector<ingot::TokenId> ids;
  try {
    ids = tokenizer->encode(text, options);
  } catch (const ingot::Error& error) {
    // A vocabulary may lack the tokens for a text; that is the only excuse.
    require(error.code() == ingot::ErrorCode::bad_file, error.what());
    return;
  }
  for (const ingot::TokenId id : ids) {
    require(id >= 0 && id < tokenizer->vocabulary_size(), "encode made an id that does not exist");
  }
  static_cast<void>(tokenizer->decode(ids));
  ingot::StreamingDetokenizer stream(tokenizer);
  std::string streamed;
  for (const ingot::TokenId id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  for (std::size_t at = 0; at < streamed.size();) {
    const ingot::internal::tokenizer::Char c =
        ingot::internal::tokenizer::decode_char(streamed, at);
    require(c.code != ingot::internal::tokenizer::kReplacement || c.size == 3,
            "streamed text is no UTF-8");
    at += c.size;
  }
  require(tokenizer->encode(text, options) == ids, "encoding twice gives different ids");
}

void check(std::span<const std::byte> bytes) {
  std::shared_ptr<const ingot::Tokenizer> tokenizer;
  try {
    tokenizer = ingot::Tokenizer::from_gguf(ingot::GgufFile::from_bytes(bytes, "fuzz"));
  } catch (const ingot::Error&) {
    return;
  }
  for (ingot::TokenId id = 0; id < tokenizer->vocabulary_size(); ++id) {
    static_cast<void>(tokenizer->kind(id));
    static_cast<void>(tokenizer->is_end_of_generation(id));
    static_cast<void>(tokenizer->piece(id));
    require(tokenizer->find(tokenizer->raw_text(id)).has_value(),
            "a token is not found by its text");
  }
  for (const std::string& text : texts(*tokenizer)) {
    round_trip(tokenizer, text, {.add_special = true, .parse_special = true});
    round_trip(tokenizer, text, {.add_special = false, .parse_special = false});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check(std::as_bytes(std::span(data, size)));
  return 0;
}
