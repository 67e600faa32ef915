#include "src/generate/stop_matcher.hpp"

#include <utility>

#include "ingot/error.hpp"
#include "src/generate/utf8.hpp"

namespace ingot::internal {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::vector<std::string_view> patterns;
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorCode::invalid_argument, "a stop string is empty");
    if (!is_utf8(stop)) fail(ErrorCode::invalid_argument, "a stop string is not UTF-8");
    patterns.push_back(stop);
  }
  automaton_ = tokenizer::PatternAutomaton(patterns);
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    state_ = automaton_.next(state_, text[i]);
    const std::uint32_t stop = automaton_.longest(state_);
    if (stop == tokenizer::PatternAutomaton::kNone) continue;
    stopped_ = true;
    found_ = stops_[stop];
    held_.append(text.substr(0, i + 1));
    held_.resize(held_.size() - found_.size());
    return std::exchange(held_, {});
  }
  held_.append(text);
  const std::size_t certain = held_.size() - automaton_.depth(state_);
  std::string result = held_.substr(0, certain);
  held_.erase(0, certain);
  return result;
}

std::string StopMatcher::finish() {
  return stopped_ ? std::string() : std::exchange(held_, {});
}

}  // namespace ingot::internal
