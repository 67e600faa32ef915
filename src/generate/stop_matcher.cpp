#include "src/generate/stop_matcher.hpp"

#include <algorithm>
#include <utility>

#include "ingot/error.hpp"
#include "src/generate/utf8.hpp"

namespace ingot::internal {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorCode::invalid_argument, "a stop string is empty");
    if (!is_utf8(stop)) fail(ErrorCode::invalid_argument, "a stop string is not UTF-8");
  }
  std::sort(stops_.begin(), stops_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  for (const char byte : text) {
    held_.push_back(byte);
    for (const std::string& stop : stops_) {
      if (held_.size() < stop.size() ||
          held_.compare(held_.size() - stop.size(), stop.size(), stop) != 0) {
        continue;
      }
      stopped_ = true;
      found_ = stop;
      held_.resize(held_.size() - stop.size());
      return std::exchange(held_, {});
    }
  }
  const std::size_t certain = held_.size() - undecided();
  std::string result = held_.substr(0, certain);
  held_.erase(0, certain);
  return result;
}

std::string StopMatcher::finish() {
  return stopped_ ? std::string() : std::exchange(held_, {});
}

std::size_t StopMatcher::undecided() const {
  const std::size_t longest = std::min(held_.size(), stops_.front().size() - 1);
  for (std::size_t count = longest; count > 0; --count) {
    const std::string_view tail = std::string_view(held_).substr(held_.size() - count);
    for (const std::string& stop : stops_) {
      if (stop.size() > count && stop.compare(0, count, tail) == 0) return count;
    }
  }
  return 0;
}

}  // namespace ingot::internal
