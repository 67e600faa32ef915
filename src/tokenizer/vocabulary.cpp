#include "src/tokenizer/vocabulary.hpp"

#include <cstdint>
#include <limits>
#include <utility>

#include "ingot/error.hpp"
#include "src/tokenizer/byte_level.hpp"
#include "src/tokenizer/normalize.hpp"

namespace ingot::internal::tokenizer {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";

TokenKind kind_of(std::int32_t type) {
  return type >= 0 && type <= static_cast<std::int32_t>(TokenKind::byte)
             ? static_cast<TokenKind>(type)
             : TokenKind::undefined;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

int parse_byte_token(std::string_view raw) {
  if (raw.size() != 6 || raw.substr(0, 3) != "<0x" || raw[5] != '>') return -1;
  const int high = hex_digit(raw[3]);
  const int low = hex_digit(raw[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Vocabulary::Vocabulary(std::shared_ptr<const GgufFile> file, Spelling spelling)
    : file_(std::move(file)),
      spelling_(spelling),
      raw_(file_->get<std::vector<std::string_view>>(kTokensKey)) {
  if (raw_.empty()) fail(ErrorCode::bad_file, "'", file_->path(), "': ", kTokensKey, " is empty");
  if (raw_.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
    fail(ErrorCode::bad_file, "'", file_->path(), "': ", kTokensKey, " has ", raw_.size(),
         " entries; ids have 31 bits");
  }
  by_raw_ = TextIndex(raw_.size());
  for (TokenId id = 0; id < size(); ++id) {
    by_raw_.add(raw(id), id, [this](TokenId other) { return raw(other); });
  }
  read_kinds();
}

void Vocabulary::read_kinds() {
  const auto types = file_->try_get<std::vector<std::int32_t>>(kTypesKey);
  if (!types) {
    // Old files have no kinds; only the byte tokens can be told by their spelling.
    kinds_.assign(raw_.size(), TokenKind::normal);
    for (TokenId id = 0; spelling_ == Spelling::sentencepiece && id < size(); ++id) {
      if (parse_byte_token(raw(id)) >= 0) set_kind(id, TokenKind::byte);
    }
    return;
  }
  if (types->size() != raw_.size()) {
    fail(ErrorCode::bad_file, "'", file_->path(), "': ", kTypesKey, " has ", types->size(),
         " entries for ", raw_.size(), " tokens; convert the model again");
  }
  kinds_.reserve(raw_.size());
  for (const std::int32_t type : *types) kinds_.push_back(kind_of(type));
}

void Vocabulary::spell_pieces() {
  ends_.reserve(raw_.size() + 1);
  ends_.push_back(0);
  for (TokenId id = 0; id < size(); ++id) {
    const TokenKind kind = this->kind(id);
    const int byte = kind == TokenKind::byte ? parse_byte_token(raw(id)) : -1;
    if (byte >= 0) {
      pieces_ += static_cast<char>(byte);
    } else if (kind == TokenKind::control || kind == TokenKind::unknown ||
               kind == TokenKind::user_defined) {
      pieces_.append(raw(id));
    } else if (spelling_ == Spelling::byte_level) {
      append_unspelled(raw(id), pieces_);
    } else {
      append_with_spaces(raw(id), pieces_);
    }
    ends_.push_back(pieces_.size());
  }
}

std::optional<TokenId> Vocabulary::named(std::string_view key) const {
  const auto id = file_->try_get<std::int64_t>(key);
  // Converters write "none" as −1, some of them into an unsigned field.
  if (!id || *id == -1 || *id == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  if (*id < 0 || *id >= size()) {
    fail(ErrorCode::bad_file, "'", file_->path(), "': ", key, " is ", *id,
         ", but the vocabulary has ", size(),
         " tokens; correct the key or convert the model again");
  }
  return static_cast<TokenId>(*id);
}

}  // namespace ingot::internal::tokenizer
