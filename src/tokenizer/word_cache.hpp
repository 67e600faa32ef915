// Source code repeats its words. What a word became once in a text is copied from the ids already
// written instead of being merged again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "src/tokenizer/text_index.hpp"

namespace ingot::internal::tokenizer {

/// Lives for one call of encode and one text: it points into that text and counts on the ids
/// written so far. Direct-mapped, so its size is bounded and a lookup is one comparison.
class WordCache {
 public:
  /// `text_bytes`: of the text to come. Short texts get no cache: clearing it would cost more.
  explicit WordCache(std::size_t text_bytes) : entries_(text_bytes < kWorthwhile ? 0 : kEntries) {}

  /// Appends the word's ids if they are known, else those that `encode_word` appends.
  template <class EncodeWord>
  void append(std::string_view word, std::vector<TokenId>& ids, const EncodeWord& encode_word) {
    if (entries_.empty() || word.size() > kLongest || word.size() < 2) {
      encode_word(word);
      return;
    }
    Entry& entry = entries_[hash_text(word, 0) & (kEntries - 1)];
    const std::size_t end = ids.size();
    if (entry.word == word) {
      ids.resize(end + entry.count);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(entry.first), entry.count,
                  ids.begin() + static_cast<std::ptrdiff_t>(end));
      return;
    }
    encode_word(word);
    entry = {word, end, ids.size() - end};
  }

 private:
  static constexpr std::size_t kEntries = std::size_t{1} << 13U;
  static constexpr std::size_t kWorthwhile = 4096;
  static constexpr std::size_t kLongest = 48;  // longer words seldom come twice

  struct Entry {
    std::string_view word;
    std::size_t first = 0;
    std::size_t count = 0;
  };

  std::vector<Entry> entries_;
};

}  // namespace ingot::internal::tokenizer
