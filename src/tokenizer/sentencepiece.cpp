#include "src/tokenizer/sentencepiece.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ingot/error.hpp"
#include "src/tokenizer/cancelled.hpp"
#include "src/tokenizer/word_cache.hpp"

namespace ingot::internal::tokenizer {
namespace {

constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";

}  // namespace

SentencePiece::SentencePiece(const Vocabulary& vocabulary, std::optional<TokenId> unknown)
    : vocabulary_(vocabulary), unknown_(unknown), long_hash_(hash_seed()) {
  read_scores();
  read_pieces();
}

void SentencePiece::read_scores() {
  const GgufFile& file = vocabulary_.file();
  const auto scores = file.get<std::vector<float>>(kScoresKey);
  if (scores.size() != static_cast<std::size_t>(vocabulary_.size())) {
    fail(ErrorCode::bad_file, "'", file.path(), "': ", kScoresKey, " has ", scores.size(),
         " entries for ", vocabulary_.size(), " tokens; convert the model again");
  }
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0U);
  for (const std::uint32_t id : order) {
    if (!std::isnan(scores[id])) continue;
    fail(ErrorCode::bad_file, "'", file.path(), "': ", kScoresKey, " entry ", id,
         " is not a number; convert the model again");
  }
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; });
  ranks_.resize(scores.size());
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++rank;
    ranks_[order[i]] = rank;
  }
}

void SentencePiece::read_pieces() {
  byte_ids_.fill(-1);
  pieces_ = TextIndex(static_cast<std::size_t>(vocabulary_.size()));
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view piece = vocabulary_.piece(id);
    if (vocabulary_.kind(id) == TokenKind::byte) {
      const int byte = parse_byte_token(vocabulary_.raw(id));
      if (byte >= 0 && byte_ids_[static_cast<std::size_t>(byte)] < 0) {
        byte_ids_[static_cast<std::size_t>(byte)] = id;
      }
      continue;
    }
    if (!vocabulary_.is_mergeable(id) || piece.empty()) continue;
    if (piece.size() <= kShortPiece) {
      pieces_.add(piece, id, [this](TokenId other) { return vocabulary_.piece(other); });
    } else {
      long_pieces_.emplace(long_hash_.of(piece), id);  // of equal pieces the first one stays
    }
    longest_ = std::max(longest_, piece.size());
    Char left = decode_char(piece, 0);
    for (std::size_t at = left.size; at < piece.size();) {
      const Char right = decode_char(piece, at);
      neighbours_.add(left.code, right.code);
      at += right.size;
      left = right;
    }
  }
}

void SentencePiece::encode(std::string_view text, const Cancel& cancel,
                           std::vector<TokenId>& ids) const {
  std::vector<Symbol> symbols;
  WordCache cache(text.size());
  const auto finish = [&](std::string_view part) {
    throw_if_cancelled(cancel);
    cache.append(part, ids,
                 [&](std::string_view fresh) { encode_part(fresh, cancel, ids, symbols); });
  };
  std::size_t done = 0;
  char32_t left = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Char c = decode_char(text, at);
    if (at > done && !neighbours_.may_join(left, c.code)) {
      finish(text.substr(done, at - done));
      done = at;
    }
    left = c.code;
    at += c.size;
  }
  if (done < text.size()) finish(text.substr(done));
}

void SentencePiece::encode_part(std::string_view part, const Cancel& cancel,
                                std::vector<TokenId>& ids, std::vector<Symbol>& symbols) const {
  check_word_size(part.size());
  SubstringHash hashes;
  if (longest_ > kShortPiece && part.size() > kShortPiece) {
    hashes = SubstringHash(long_hash_, part, longest_);
  }
  symbols.clear();
  for (std::size_t at = 0; at < part.size();) {
    const std::size_t size = decode_char(part, at).size;
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + size),
                       find(part.substr(at, size))});
    at += size;
  }
  merge(symbols, cancel, [&](const Symbol& left, const Symbol& right) -> Join {
    const std::size_t size = right.end - left.begin;
    if (size > longest_) return {};
    const TokenId id = size <= kShortPiece ? find(part.substr(left.begin, size))
                                           : find_long(hashes.of(left.begin, size), size);
    if (id < 0) return {};
    return {ranks_[static_cast<std::size_t>(id)], id};
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else {
      append_bytes(part.substr(symbol.begin, symbol.end - symbol.begin), ids);
    }
  }
}

void SentencePiece::append_bytes(std::string_view bytes, std::vector<TokenId>& ids) const {
  const std::size_t first = ids.size();
  for (const char c : bytes) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      ids.push_back(id);
      continue;
    }
    if (!unknown_) {
      fail(ErrorCode::bad_file, "'", vocabulary_.file().path(),
           "': the vocabulary has no token for the byte ",
           static_cast<unsigned>(static_cast<unsigned char>(c)),
           " of the text and no unknown token; convert the model again");
    }
    ids.resize(first);
    ids.push_back(*unknown_);
    return;
  }
}

}  // namespace ingot::internal::tokenizer
