// The little that generation needs to know about UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace ingot::internal {

/// Whether the byte lies inside a character (10xxxxxx), so that text must not be cut before it.
constexpr bool is_utf8_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// Whether the text is well-formed UTF-8 (Unicode 15, table 3-7).
constexpr bool is_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead < 0xC2 || lead > 0xF4) return false;
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (text.size() - i < length) return false;
    // The first continuation byte excludes overlong forms, surrogates and code points past
    // U+10FFFF.
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(i + 1) < low || byte(i + 1) > high) return false;
    for (std::size_t k = 2; k < length; ++k) {
      if (!is_utf8_continuation(text[i + k])) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace ingot::internal
