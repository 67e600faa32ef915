// Finds the tokens that text names literally: leftmost first, of those the longest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "src/tokenizer/unicode.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {

class SpecialSplitter {
 public:
  /// Of the vocabulary's control, unknown and user-defined tokens. `takes_spaces` lists those that
  /// swallow the white space behind them.
  SpecialSplitter(const Vocabulary& vocabulary, std::vector<TokenId> takes_spaces);

  /// Calls on_text(part) and on_token(id) in the order of the text; parts are not empty. Without
  /// `parse_special` only user-defined tokens are found. Each position costs as many steps as the
  /// longest token that begins there goes on to agree.
  template <class OnText, class OnToken>
  void split(std::string_view text, bool parse_special, const OnText& on_text,
             const OnToken& on_token) const {
    const std::uint8_t wanted = parse_special ? kAny : kUserDefined;
    std::size_t done = 0;
    std::size_t at = 0;
    while (at < text.size()) {
      if ((begins_[static_cast<unsigned char>(text[at])] & wanted) == 0) {
        ++at;
        continue;
      }
      const Entry* found = longest(text.substr(at), parse_special);
      if (found == nullptr) {
        ++at;
        continue;
      }
      if (done < at) on_text(text.substr(done, at - done));
      on_token(found->id);
      at += found->text.size();
      if (found->takes_spaces) at = CharClasses::get().run(text, at, kSpace);
      done = at;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  static constexpr std::uint8_t kAny = 1;
  static constexpr std::uint8_t kUserDefined = 2;

  struct Entry {
    std::string_view text;
    TokenId id;
    bool user_defined;
    bool takes_spaces;
  };

  /// The longest token that `text` begins with, or nullptr.
  const Entry* longest(std::string_view text, bool parse_special) const;

  std::vector<Entry> entries_;              // ordered by text
  std::array<std::uint8_t, 256> begins_{};  // which kinds have a token that begins with a byte
};

}  // namespace ingot::internal::tokenizer
