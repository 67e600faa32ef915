// Characters and their classes, as pre-tokenizers need them: UTF-8 read strictly, and the general
// category and White_Space of every code point (from utf8proc) folded into one byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::internal::tokenizer {

/// Bits of a character's class. A code point that is not assigned has none.
using CharClass = std::uint8_t;
inline constexpr CharClass kLetter = 1;       ///< \p{L}
inline constexpr CharClass kMark = 2;         ///< \p{M}
inline constexpr CharClass kNumber = 4;       ///< \p{N}
inline constexpr CharClass kPunctuation = 8;  ///< \p{P}
inline constexpr CharClass kSymbol = 16;      ///< \p{S}
inline constexpr CharClass kSpace = 32;       ///< \s: White_Space
inline constexpr CharClass kUpperLike = 64;   ///< [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
inline constexpr CharClass kLowerLike = 128;  ///< [\p{Ll}\p{Lm}\p{Lo}\p{M}]

inline constexpr char32_t kReplacement = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

/// A character in a text.
struct Char {
  char32_t code;       ///< U+FFFD for a byte that is no part of UTF-8
  std::uint32_t size;  ///< bytes: 1 to 4; 1 for such a byte
};

namespace detail {
Char decode_multibyte(std::string_view text, std::size_t at);
}

/// The character that begins at `at` < text.size(). Overlong forms, surrogates and what is cut off
/// are not UTF-8.
inline Char decode_char(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1};
  return detail::decode_multibyte(text, at);
}

/// How many bytes at the end of `text` begin a character that further bytes could complete: 0 to 3.
std::size_t incomplete_tail(std::string_view text);

/// Appends `text` with each maximal part of a character that is not UTF-8 replaced by U+FFFD
/// (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal Subparts").
void append_valid_utf8(std::string_view text, std::string& out);

/// The class of every code point; 128 code points to a block, equal blocks stored once (≈ 40 KB).
class CharClasses {
 public:
  /// The one table, built when first asked for (about 10 ms).
  static const CharClasses& get();

  CharClass operator[](char32_t code) const {
    return blocks_[block_of_[code >> kBlockBits]][code & kBlockMask];
  }

  /// Class and size of the character at `at` < text.size().
  struct Classified {
    CharClass bits;
    std::uint32_t size;
    char32_t code;
  };
  Classified at(std::string_view text, std::size_t at) const {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) return {blocks_.front()[first], 1, first};
    const Char c = detail::decode_multibyte(text, at);
    return {(*this)[c.code], c.size, c.code};
  }

  /// The end of the characters from `at` on whose class has a bit of `mask`.
  std::size_t run(std::string_view text, std::size_t at, CharClass mask) const {
    while (at < text.size()) {
      const Classified c = this->at(text, at);
      if ((c.bits & mask) == 0) break;
      at += c.size;
    }
    return at;
  }

  /// The end of the characters from `at` on whose class has no bit of `mask`.
  std::size_t run_without(std::string_view text, std::size_t at, CharClass mask) const {
    while (at < text.size()) {
      const Classified c = this->at(text, at);
      if ((c.bits & mask) != 0) break;
      at += c.size;
    }
    return at;
  }

 private:
  static constexpr unsigned kBlockBits = 7;
  static constexpr char32_t kBlockMask = (1U << kBlockBits) - 1;
  static constexpr char32_t kCodePoints = 0x110000;
  using Block = std::array<CharClass, std::size_t{1} << kBlockBits>;

  CharClasses();

  std::vector<Block> blocks_;
  std::array<std::uint16_t, (kCodePoints >> kBlockBits)> block_of_;
};

}  // namespace ingot::internal::tokenizer
