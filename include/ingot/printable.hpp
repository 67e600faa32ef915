// Text from files, made safe for messages: a name in a model file is whatever its author wrote, and
// a terminal obeys it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ingot {

namespace detail {

struct Decoded {
  std::uint32_t code;
  std::size_t size;  ///< bytes; 0: no UTF-8 begins here (Unicode 15, table 3-7)
};

constexpr Decoded decode_utf8(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead < 0xC2   ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                           : lead < 0xF5 ? 4
                                         : 0;
  std::uint32_t code = lead & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {0, 0};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool outside = code > 0x10FFFF || (code >= 0xD800 && code < 0xE000);
  return overlong || outside ? Decoded{0, 0} : Decoded{code, size};
}

/// What a terminal or a viewer acts on instead of showing it: control characters (C0, DEL, C1),
/// line and paragraph separators, and marks that change the direction of the text around them.
constexpr bool is_obeyed(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
         code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

}  // namespace detail

/// `text` as one line of valid UTF-8 that no terminal acts on: control characters, line separators,
/// direction marks and bytes that are no UTF-8 become \xNN or \u{NNNN}, all else stays. What is
/// printable already is not changed, so that it may be applied again.
inline std::string printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const detail::Decoded c = detail::decode_utf8(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (c.size == 0 || c.code < 0x80) {
      if (c.size != 0 && !detail::is_obeyed(c.code)) {
        out += text[at];
      } else {
        (out += "\\x") += kDigits[byte >> 4U];
        out += kDigits[byte & 15U];
      }
      ++at;
      continue;
    }
    if (detail::is_obeyed(c.code)) {
      out += "\\u{";
      for (unsigned shift = 16; shift > 0; shift -= 4) {
        out += kDigits[c.code >> (shift - 4) & 15U];
      }
      out += '}';
    } else {
      out.append(text.substr(at, c.size));
    }
    at += c.size;
  }
  return out;
}

/// printable(), line by line: for text that is meant to have several.
inline std::string printable_lines(std::string_view text) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find('\n', at);
    out += printable(text.substr(at, end - at));
    if (end == std::string_view::npos) return out;
    out += '\n';
    at = end + 1;
  }
}

}  // namespace ingot
