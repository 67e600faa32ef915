// GPT-2's spelling of bytes in a vocabulary file: every byte has a visible character of its own
// (a space is Ġ). Source: encoder.py of the GPT-2 release, bytes_to_unicode.
#pragma once

#include <string>
#include <string_view>

namespace ingot::internal::tokenizer {

/// The character, in UTF-8, that stands for a byte.
std::string_view spell_byte(unsigned char byte);

/// Appends the bytes that `spelled` stands for; characters that stand for none are copied.
void append_unspelled(std::string_view spelled, std::string& out);

}  // namespace ingot::internal::tokenizer
