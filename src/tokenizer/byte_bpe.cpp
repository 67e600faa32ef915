#include "src/tokenizer/byte_bpe.hpp"

#include <bit>
#include <string>

#include "ingot/error.hpp"
#include "src/tokenizer/byte_level.hpp"
#include "src/tokenizer/cancelled.hpp"
#include "src/tokenizer/unicode.hpp"
#include "src/tokenizer/word_cache.hpp"

namespace ingot::internal::tokenizer {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

}  // namespace

MergeTable::MergeTable(std::size_t count)
    : slots_(std::bit_ceil(count * 2 + 2)), seed_(hash_seed()) {}

void MergeTable::add(TokenId left, TokenId right, Join join) {
  const std::uint64_t pair = key(left, right);
  std::size_t at = place(pair);
  while (slots_[at].pair != kEmpty && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  if (slots_[at].pair == kEmpty) slots_[at] = {pair, join};
}

ByteBpe::ByteBpe(const Vocabulary& vocabulary, const PreTokenizer& pre_tokenizer,
                 std::optional<TokenId> unknown)
    : vocabulary_(vocabulary), pre_tokenizer_(pre_tokenizer) {
  for (unsigned i = 0; i < byte_ids_.size(); ++i) {
    const char byte = static_cast<char>(i);
    const TokenId id = vocabulary.find(spell_byte(static_cast<unsigned char>(i)));
    // Some files have a user-defined token ÿ, which means that letter and not the byte 0xFF.
    byte_ids_[i] = id >= 0 && vocabulary.piece(id) == std::string_view(&byte, 1) ? id : -1;
  }
  for (const char c : kReplacementUtf8) {
    replacement_.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    if (replacement_.back() >= 0) continue;
    replacement_.clear();
    if (unknown) replacement_.push_back(*unknown);
    break;
  }
  read_merges();
  if (pre_tokenizer.whole_words) index_words();
}

void ByteBpe::read_merges() {
  const GgufFile& file = vocabulary_.file();
  const auto merges = file.get<std::vector<std::string_view>>(kMergesKey);
  if (merges.size() >= kNoRank) {
    fail(ErrorCode::bad_file, "'", file.path(), "': ", kMergesKey, " has ", merges.size(),
         " entries; ranks have 32 bits");
  }
  merges_ = MergeTable(merges.size());
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    // A spelled token holds no space; one in front would be part of an odd left side.
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ', 1);
    const std::string_view left = merge.substr(0, space);
    const std::string_view right =
        space == std::string_view::npos ? std::string_view() : merge.substr(space + 1);
    joined.assign(left).append(right);
    const TokenId left_id = vocabulary_.find(left);
    const TokenId right_id = vocabulary_.find(right);
    const TokenId joined_id = vocabulary_.find(joined);
    if (left_id < 0 || right_id < 0 || joined_id < 0) {
      const std::string_view missing = left_id < 0 ? left : right_id < 0 ? right : joined;
      fail(ErrorCode::bad_file, "'", file.path(), "': ", kMergesKey, " entry ", rank, ' ',
           gguf::quoted(merge), " needs the token ", gguf::quoted(missing),
           ", which the vocabulary lacks; convert the model again");
    }
    // Plain text must never make a control token.
    if (vocabulary_.kind(joined_id) == TokenKind::control) continue;
    merges_.add(left_id, right_id, {static_cast<std::uint32_t>(rank), joined_id});
  }
}

void ByteBpe::index_words() {
  words_ = TextIndex(static_cast<std::size_t>(vocabulary_.size()));
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (!vocabulary_.is_mergeable(id)) continue;
    words_.add(vocabulary_.piece(id), id,
               [this](TokenId other) { return vocabulary_.piece(other); });
  }
}

void ByteBpe::encode(std::string_view text, const Cancel& cancel, std::vector<TokenId>& ids) const {
  std::vector<Symbol> symbols;
  WordCache cache(text.size());
  pre_tokenizer_.split(text, [&](std::string_view word) {
    throw_if_cancelled(cancel);
    cache.append(word, ids,
                 [&](std::string_view fresh) { encode_word(fresh, cancel, ids, symbols); });
  });
}

void ByteBpe::encode_word(std::string_view word, const Cancel& cancel, std::vector<TokenId>& ids,
                          std::vector<Symbol>& symbols) const {
  if (pre_tokenizer_.whole_words) {
    const TokenId id =
        words_.find(word, [this](TokenId other) { return vocabulary_.piece(other); });
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
  }
  begin_symbols(word, symbols);
  merge(symbols, cancel, [this](const Symbol& left, const Symbol& right) {
    return merges_.find(left.id, right.id);
  });
  for (const Symbol& symbol : symbols) ids.push_back(symbol.id);
}

void ByteBpe::begin_symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  check_word_size(word.size());
  symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(word[at])];
    if (id >= 0) {
      symbols.push_back({0, 0, id});
      ++at;
      continue;
    }
    if (replacement_.empty()) {
      fail(ErrorCode::bad_file, "'", vocabulary_.file().path(),
           "': the vocabulary has no token for the byte ",
           static_cast<unsigned>(static_cast<unsigned char>(word[at])),
           " of the text, none for U+FFFD and no unknown token; convert the model again");
    }
    for (const TokenId part : replacement_) symbols.push_back({0, 0, part});
    at += decode_char(word, at).size;
  }
}

}  // namespace ingot::internal::tokenizer
