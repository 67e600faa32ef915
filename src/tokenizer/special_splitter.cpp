#include "src/tokenizer/special_splitter.hpp"

#include <algorithm>

#include "src/tokenizer/cancelled.hpp"

namespace ingot::internal::tokenizer {

SpecialSplitter::SpecialSplitter(const Vocabulary& vocabulary, std::vector<TokenId> takes_spaces) {
  std::sort(takes_spaces.begin(), takes_spaces.end());
  std::vector<std::string_view> texts;
  std::vector<std::string_view> user_defined_texts;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    const std::string_view text = vocabulary.raw(id);
    const bool special =
        kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined;
    if (!special || text.empty()) continue;
    const bool takes = std::binary_search(takes_spaces.begin(), takes_spaces.end(), id);
    const Entry entry{id, takes, text.size()};
    all_.entries.push_back(entry);
    texts.push_back(text);
    if (kind != TokenKind::user_defined) continue;
    user_defined_.entries.push_back(entry);
    user_defined_texts.push_back(text);
  }
  constexpr auto kBackward = PatternAutomaton::Direction::backward;
  all_.automaton = PatternAutomaton(texts, kBackward);
  one_set_ = user_defined_texts.size() == texts.size();
  if (!one_set_) user_defined_.automaton = PatternAutomaton(user_defined_texts, kBackward);
}

std::vector<SpecialSplitter::Hit> SpecialSplitter::find(const Set& set, std::string_view text,
                                                        const Cancel& cancel) {
  std::vector<Hit> hits;
  if (set.automaton.empty()) return hits;
  PatternAutomaton::State state = PatternAutomaton::kStart;
  for (std::size_t at = text.size(); at-- > 0;) {
    if (at % kBytesBetweenChecks == 0) throw_if_cancelled(cancel);
    state = set.automaton.next(state, text[at]);
    const std::uint32_t entry = set.automaton.longest(state);
    if (entry != PatternAutomaton::kNone) hits.push_back({at, entry});
  }
  return hits;
}

}  // namespace ingot::internal::tokenizer
