// Finds stop strings in text that arrives in pieces, and holds back what may become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/pattern_automaton.hpp"

namespace ingot::internal {

/// The stop string that is complete first ends the text; of several complete at the same byte, the
/// longest. So the result depends on the text alone, not on how it was cut into pieces. Linear in
/// the text, whatever the stop strings are.
class StopMatcher {
 public:
  /// Error invalid_argument for a stop string that is empty or not UTF-8: text is only ever cut in
  /// front of a stop string, which must therefore begin a character.
  explicit StopMatcher(std::vector<std::string> stops);

  /// Takes more text; returns what is certain not to belong to a stop string. Once stopped(),
  /// nothing more.
  std::string push(std::string_view text);

  /// No more text comes: returns what was held back.
  std::string finish();

  bool stopped() const { return stopped_; }
  /// The stop string that was found; empty before.
  const std::string& found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  tokenizer::PatternAutomaton automaton_;  // of stops_
  tokenizer::PatternAutomaton::State state_ = tokenizer::PatternAutomaton::kStart;
  std::string held_;  // what was not returned: the bytes that state_ stands for
  std::string found_;
  bool stopped_ = false;
};

}  // namespace ingot::internal
