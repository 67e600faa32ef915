#include "src/tokenizer/byte_level.hpp"

#include <array>
#include <cstdint>

#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {
namespace {

/// The bytes that stand for themselves: those that are visible in Latin-1.
constexpr bool is_visible(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/// All spellings are below U+0100 + 68: the 68 invisible bytes follow Latin-1 in order.
constexpr std::size_t kSpellings = 0x144;

struct Spelling {
  std::array<std::array<char, 2>, 256> utf8{};
  std::array<std::uint8_t, 256> size{};
  std::array<std::int16_t, kSpellings> byte{};  ///< by code point; −1 for none

  constexpr Spelling() {
    byte.fill(-1);
    unsigned next = 0x100;
    for (unsigned i = 0; i < 256; ++i) {
      const unsigned code = is_visible(i) ? i : next++;
      byte[code] = static_cast<std::int16_t>(i);
      size[i] = code < 0x80 ? 1 : 2;
      utf8[i] = {static_cast<char>(code < 0x80 ? code : 0xC0U | code >> 6U),
                 static_cast<char>(0x80U | (code & 0x3FU))};
    }
  }
};

constexpr Spelling kSpelling;

}  // namespace

std::string_view spell_byte(unsigned char byte) {
  return {kSpelling.utf8[byte].data(), kSpelling.size[byte]};
}

void append_unspelled(std::string_view spelled, std::string& out) {
  for (std::size_t at = 0; at < spelled.size();) {
    const Char c = decode_char(spelled, at);
    if (c.code < kSpellings && kSpelling.byte[c.code] >= 0) {
      out += static_cast<char>(kSpelling.byte[c.code]);
    } else {
      out.append(spelled.substr(at, c.size));
    }
    at += c.size;
  }
}

}  // namespace ingot::internal::tokenizer
