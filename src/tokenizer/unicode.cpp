#include "src/tokenizer/unicode.hpp"

#include <utf8proc.h>

#include <map>

namespace ingot::internal::tokenizer {
namespace {

/// The bytes that may follow a lead byte, and how many: Unicode 15, table 3-7.
struct Lead {
  std::uint32_t size;  ///< of the whole character; 0 when no character begins so
  unsigned char low;   ///< bounds of the second byte; later ones are 0x80 to 0xBF
  unsigned char high;
};

constexpr Lead lead_of(unsigned char first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// How many bytes from `at` on belong to one character as far as they go: at least 1.
std::size_t good_bytes(std::string_view text, std::size_t at, const Lead& lead) {
  std::size_t count = 1;
  while (count < lead.size && at + count < text.size()) {
    const auto next = static_cast<unsigned char>(text[at + count]);
    const unsigned char low = count == 1 ? lead.low : 0x80;
    const unsigned char high = count == 1 ? lead.high : 0xBF;
    if (next < low || next > high) break;
    ++count;
  }
  return count;
}

CharClass class_of(utf8proc_int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return kLetter | kUpperLike;
    case UTF8PROC_CATEGORY_LL: return kLetter | kLowerLike;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return kLetter | kUpperLike | kLowerLike;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return kMark | kUpperLike | kLowerLike;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return kSymbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return kSpace;
    case UTF8PROC_CATEGORY_CC:
      // The control characters among White_Space (Unicode, PropList.txt).
      return (code >= 0x09 && code <= 0x0D) || code == 0x85 ? kSpace : CharClass{0};
    default: return 0;
  }
}

}  // namespace

namespace detail {

Char decode_multibyte(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const Lead lead = lead_of(first);
  if (lead.size < 2 || good_bytes(text, at, lead) != lead.size) return {kReplacement, 1};
  // A lead byte of an n-byte character has 7 − n bits of the code.
  char32_t code = first & (0x7FU >> lead.size);
  for (std::size_t i = 1; i < lead.size; ++i) {
    code = code << 6U | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
  }
  return {code, lead.size};
}

}  // namespace detail

std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::size_t at = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x80 && byte < 0xC0) continue;
    const Lead lead = lead_of(byte);
    return lead.size > back && good_bytes(text, at, lead) == back ? back : 0;
  }
  return 0;
}

void append_valid_utf8(std::string_view text, std::string& out) {
  std::size_t done = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
    const std::size_t count = good_bytes(text, at, lead);
    if (count != lead.size) {
      out.append(text.substr(done, at - done)).append(kReplacementUtf8);
      done = at + count;
    }
    at += count;
  }
  out.append(text.substr(done));
}

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

CharClasses::CharClasses() {
  std::map<Block, std::uint16_t> known;
  for (std::size_t i = 0; i < block_of_.size(); ++i) {
    Block block;
    for (std::size_t j = 0; j < block.size(); ++j) {
      block[j] = class_of(static_cast<utf8proc_int32_t>(i * block.size() + j));
    }
    const auto [entry, is_new] = known.emplace(block, static_cast<std::uint16_t>(blocks_.size()));
    if (is_new) blocks_.push_back(block);
    block_of_[i] = entry->second;
  }
}

}  // namespace ingot::internal::tokenizer
