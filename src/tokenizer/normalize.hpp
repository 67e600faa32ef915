// What published tokenizers make of a text before they cut it into words.
#pragma once

#include <string>
#include <string_view>

#include "ingot/cancel.hpp"

namespace ingot::internal::tokenizer {

/// U+2581, which stands for a space in SentencePiece's vocabularies.
inline constexpr std::string_view kSentencePieceSpace = "\xE2\x96\x81";

/// Appends `text` with each U+2581 replaced by a space.
void append_with_spaces(std::string_view text, std::string& out);

/// `text` in Unicode's normalization form C, where it is UTF-8; other bytes stay and no character
/// is composed across them. Gives `text` itself if it is ASCII, else a view of `store`. Linear but
/// for the order of marks behind one character, which is sorted. Error cancelled.
std::string_view compose(std::string_view text, const Cancel& cancel, std::string& store);

}  // namespace ingot::internal::tokenizer
