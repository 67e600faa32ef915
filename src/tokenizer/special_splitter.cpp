#include "src/tokenizer/special_splitter.hpp"

#include <algorithm>

namespace ingot::internal::tokenizer {

SpecialSplitter::SpecialSplitter(const Vocabulary& vocabulary, std::vector<TokenId> takes_spaces) {
  std::sort(takes_spaces.begin(), takes_spaces.end());
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    const std::string_view text = vocabulary.raw(id);
    const bool special =
        kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined;
    if (!special || text.empty()) continue;
    const bool user_defined = kind == TokenKind::user_defined;
    entries_.push_back(
        {text, id, user_defined, std::binary_search(takes_spaces.begin(), takes_spaces.end(), id)});
    auto& begins = begins_[static_cast<unsigned char>(text.front())];
    begins = static_cast<std::uint8_t>(begins | kAny | (user_defined ? kUserDefined : 0));
  }
  // string_view compares bytes as unsigned, as longest() does.
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.text < b.text; });
}

const SpecialSplitter::Entry* SpecialSplitter::longest(std::string_view text,
                                                       bool parse_special) const {
  // [low, high) are the entries that agree with the first `depth` bytes; those that end there come
  // first among them.
  const Entry* best = nullptr;
  auto low = entries_.begin();
  auto high = entries_.end();
  for (std::size_t depth = 0;; ++depth) {
    for (; low != high && low->text.size() == depth; ++low) {
      if (parse_special || low->user_defined) best = &*low;
    }
    if (low == high || depth == text.size()) return best;
    const auto byte_at = [depth](const Entry& entry) {
      return static_cast<unsigned char>(entry.text[depth]);
    };
    const auto byte = static_cast<unsigned char>(text[depth]);
    low = std::lower_bound(low, high, byte, [&](const Entry& e, int b) { return byte_at(e) < b; });
    high = std::upper_bound(low, high, byte, [&](int b, const Entry& e) { return b < byte_at(e); });
  }
}

}  // namespace ingot::internal::tokenizer
