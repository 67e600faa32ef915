// Finds the tokens that text names literally: leftmost first, of those the longest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/pattern_automaton.hpp"
#include "src/tokenizer/unicode.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {

class SpecialSplitter {
 public:
  /// Of the vocabulary's control, unknown and user-defined tokens. `takes_spaces` lists those that
  /// swallow the white space behind them.
  SpecialSplitter(const Vocabulary& vocabulary, std::vector<TokenId> takes_spaces);

  /// Calls on_text(part) and on_token(id) in the order of the text; parts are not empty. Without
  /// `parse_special` only user-defined tokens are found. Linear in the text, whatever the tokens
  /// are. Error cancelled.
  template <class OnText, class OnToken>
  void split(std::string_view text, bool parse_special, const Cancel& cancel, const OnText& on_text,
             const OnToken& on_token) const {
    const Set& set = parse_special || one_set_ ? all_ : user_defined_;
    std::size_t done = 0;
    const std::vector<Hit> hits = find(set, text, cancel);
    for (auto hit = hits.rbegin(); hit != hits.rend(); ++hit) {
      if (hit->at < done) continue;  // inside the token before it
      const Entry& entry = set.entries[hit->entry];
      if (done < hit->at) on_text(text.substr(done, hit->at - done));
      on_token(entry.id);
      done = hit->at + entry.bytes;
      if (entry.takes_spaces) done = CharClasses::get().run(text, done, kSpace);
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  struct Entry {
    TokenId id;
    bool takes_spaces;
    std::size_t bytes;
  };
  struct Set {
    std::vector<Entry> entries;
    PatternAutomaton automaton;  // of their texts, read backwards
  };
  /// The longest token that begins at a position.
  struct Hit {
    std::size_t at;
    std::uint32_t entry;
  };

  /// At every position where one begins, last position first. The text is read backwards: so the
  /// last byte read is the first of a token, and one pass tells the longest for every position.
  /// (Reading forwards, what follows a match would have to be read again, up to the longest token's
  /// length each time.)
  static std::vector<Hit> find(const Set& set, std::string_view text, const Cancel& cancel);

  Set all_;
  Set user_defined_;
  bool one_set_ = false;  // all are user-defined
};

}  // namespace ingot::internal::tokenizer
