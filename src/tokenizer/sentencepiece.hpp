// SentencePiece BPE (Llama 2, CodeLlama, Phi 3): characters are joined to the token of the highest
// score, and what is no token is spelled in bytes.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/merge.hpp"
#include "src/tokenizer/substring_hash.hpp"
#include "src/tokenizer/text_index.hpp"
#include "src/tokenizer/unicode.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {

/// Which characters ever stand next to each other within a token. Where two don't, no token can
/// cover both, so a text may be cut there and its parts be merged alone: exact, and it bounds what
/// a merge has to look at to about a word.
class Neighbours {
 public:
  void add(char32_t left, char32_t right) { bits_[place(left, right)] = true; }

  /// True for every pair that was added, and for few others.
  bool may_join(char32_t left, char32_t right) const { return bits_[place(left, right)]; }

 private:
  static constexpr unsigned kBits = 18;

  /// ASCII pairs have a bit of their own in the first 2^14.
  static std::size_t place(char32_t left, char32_t right) {
    if ((left | right) < 0x80) return std::size_t{left} << 7U | right;
    const std::uint64_t pair = std::uint64_t{left} << 32U | right;
    return mix(pair, 0x9E3779B97F4A7C15U) >> (64 - kBits);
  }

  std::bitset<std::size_t{1} << kBits> bits_;
};

class SentencePiece {
 public:
  /// Reads tokenizer.ggml.scores. `vocabulary` must outlive this; `unknown` stands for what can't
  /// be spelled in bytes. Error bad_file.
  SentencePiece(const Vocabulary& vocabulary, std::optional<TokenId> unknown);

  /// Appends the ids of a text without special tokens, its spaces still spaces. Error
  /// cancelled.
  void encode(std::string_view text, const Cancel& cancel, std::vector<TokenId>& ids) const;

 private:
  /// Pieces of more bytes are sought by a hash that costs the same for every length, and known by
  /// it alone: else a vocabulary of ever longer pieces makes each join of a text cost as much as
  /// the longest. That hash is of 61 bits over a base that no file's author knows, so that n bytes
  /// pass for others once in 2⁶¹ / n. Published vocabularies have no such pieces.
  static constexpr std::size_t kShortPiece = 64;

  void read_scores();
  void read_pieces();
  void encode_part(std::string_view part, const Cancel& cancel, std::vector<TokenId>& ids,
                   std::vector<Symbol>& symbols) const;
  void append_bytes(std::string_view bytes, std::vector<TokenId>& ids) const;
  TokenId find(std::string_view piece) const {
    return pieces_.find(piece, [this](TokenId id) { return vocabulary_.piece(id); });
  }
  TokenId find_long(std::uint64_t hash, std::size_t size) const {
    const auto found = long_pieces_.find(hash);
    const bool same =
        found != long_pieces_.end() && vocabulary_.piece(found->second).size() == size;
    return same ? found->second : -1;
  }

  const Vocabulary& vocabulary_;
  std::optional<TokenId> unknown_;
  std::vector<std::uint32_t> ranks_;  // by id: 0 for the highest score, equal for equal scores
  TextIndex pieces_;                  // of the tokens that merging may make, if short
  PolynomialHash long_hash_;
  std::unordered_map<std::uint64_t, TokenId> long_pieces_;  // the others, by long_hash_
  std::array<TokenId, 256> byte_ids_;                       // −1: none
  Neighbours neighbours_;
  std::size_t longest_ = 0;  // bytes of the longest of those pieces
};

}  // namespace ingot::internal::tokenizer
