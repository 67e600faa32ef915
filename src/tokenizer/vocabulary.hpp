// The tokens of a file: how they are spelled, what they stand for, of what kind they are.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/gguf.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/text_index.hpp"

namespace ingot::internal::tokenizer {

/// How a vocabulary spells text.
enum class Spelling {
  byte_level,     ///< GPT-2's visible bytes
  sentencepiece,  ///< ▁ for a space, <0x0A> for a byte
};

class Vocabulary {
 public:
  /// Reads tokenizer.ggml.tokens and token_type. Error bad_file.
  Vocabulary(std::shared_ptr<const GgufFile> file, Spelling spelling);

  /// Works out what every token stands for; called once, when all kinds are settled.
  void spell_pieces();

  const GgufFile& file() const { return *file_; }
  TokenId size() const { return static_cast<TokenId>(raw_.size()); }
  bool has(TokenId id) const { return id >= 0 && id < size(); }

  std::string_view raw(TokenId id) const { return raw_[static_cast<std::size_t>(id)]; }
  TokenKind kind(TokenId id) const { return kinds_[static_cast<std::size_t>(id)]; }
  void set_kind(TokenId id, TokenKind kind) { kinds_[static_cast<std::size_t>(id)] = kind; }

  /// What the token stands for. Control, unknown and user-defined tokens stand for their spelling.
  std::string_view piece(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(pieces_).substr(ends_[i], ends_[i + 1] - ends_[i]);
  }

  /// The token spelled so, or −1.
  TokenId find(std::string_view raw) const {
    return by_raw_.find(raw, [this](TokenId id) { return this->raw(id); });
  }

  /// Whether merging text may make this token.
  bool is_mergeable(TokenId id) const {
    const TokenKind kind = this->kind(id);
    return kind == TokenKind::normal || kind == TokenKind::undefined || kind == TokenKind::unused;
  }

  /// The token that a file names under a key, if it names one; −1 means none. Error bad_file when
  /// it is outside the vocabulary.
  std::optional<TokenId> named(std::string_view key) const;

 private:
  void read_kinds();

  std::shared_ptr<const GgufFile> file_;
  Spelling spelling_;
  std::vector<std::string_view> raw_;  // in the mapped file
  std::vector<TokenKind> kinds_;
  std::string pieces_;             // all, one after another
  std::vector<std::size_t> ends_;  // piece i is [ends_[i], ends_[i + 1])
  TextIndex by_raw_;
};

/// The byte that a spelling like <0x0A> names, or −1.
int parse_byte_token(std::string_view raw);

}  // namespace ingot::internal::tokenizer
