// Byte-level BPE (GPT-2 and after): a word's bytes are joined by the file's merges, earliest first.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/merge.hpp"
#include "src/tokenizer/pre_tokenizer.hpp"
#include "src/tokenizer/text_index.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {

/// Which pairs of tokens join to what, by open addressing on the pair.
class MergeTable {
 public:
  explicit MergeTable(std::size_t count = 0);

  /// Of equal pairs the first one stays.
  void add(TokenId left, TokenId right, Join join);

  Join find(TokenId left, TokenId right) const {
    const std::uint64_t pair = key(left, right);
    for (std::size_t at = place(pair);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].pair == pair) return slots_[at].join;
      if (slots_[at].pair == kEmpty) return {};
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // ids are not negative

  struct Slot {
    std::uint64_t pair = kEmpty;
    Join join;
  };

  static std::uint64_t key(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U |
           static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t pair) const {
    return mix(pair ^ seed_, 0x9E3779B97F4A7C15U) & (slots_.size() - 1);
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::uint64_t seed_;
};

class ByteBpe {
 public:
  /// Reads tokenizer.ggml.merges. `vocabulary` must outlive this; `unknown` stands for what can't
  /// be expressed otherwise. Error bad_file for a merge of or to a text that is no token.
  ByteBpe(const Vocabulary& vocabulary, const PreTokenizer& pre_tokenizer,
          std::optional<TokenId> unknown);

  /// Appends the ids of a text without special tokens. Error cancelled.
  void encode(std::string_view text, const Cancel& cancel, std::vector<TokenId>& ids) const;

 private:
  void read_merges();
  void index_words();
  void encode_word(std::string_view word, const Cancel& cancel, std::vector<TokenId>& ids,
                   std::vector<Symbol>& symbols) const;
  void begin_symbols(std::string_view word, std::vector<Symbol>& symbols) const;

  const Vocabulary& vocabulary_;
  const PreTokenizer& pre_tokenizer_;
  std::array<TokenId, 256> byte_ids_;  // −1: no token stands for that byte
  std::vector<TokenId> replacement_;   // U+FFFD's bytes, or the unknown token; may be empty
  MergeTable merges_;
  TextIndex words_;  // by piece, for pre-tokenizers with whole_words
};

}  // namespace ingot::internal::tokenizer
