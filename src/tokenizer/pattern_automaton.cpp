#include "src/tokenizer/pattern_automaton.hpp"

#include <algorithm>
#include <deque>
#include <numeric>
#include <string>

#include "ingot/error.hpp"

namespace ingot::internal::tokenizer {

PatternAutomaton::PatternAutomaton(std::span<const std::string_view> patterns,
                                   Direction direction) {
  if (direction == Direction::forward) {
    grow(patterns);
  } else {
    std::size_t bytes = 0;
    for (const std::string_view pattern : patterns) bytes += pattern.size();
    std::string reversed;
    reversed.reserve(bytes);  // the views below must stay
    std::vector<std::string_view> views;
    views.reserve(patterns.size());
    for (const std::string_view pattern : patterns) {
      const std::size_t begin = reversed.size();
      reversed.append(pattern.rbegin(), pattern.rend());
      views.push_back(std::string_view(reversed).substr(begin));
    }
    grow(views);
  }
  link();
}

/// Makes the tree of the patterns' beginnings, level by level. A node's patterns are a range of the
/// sorted ones, so that where they all go on alike, two comparisons make the next node.
void PatternAutomaton::grow(std::span<const std::string_view> patterns) {
  std::vector<std::uint32_t> order(patterns.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return patterns[a] < patterns[b]; });
  const auto byte_of = [&](std::uint32_t pattern, std::uint32_t depth) {
    return static_cast<unsigned char>(patterns[pattern][depth]);
  };

  using Place = std::vector<std::uint32_t>::const_iterator;
  struct Range {
    Place low;
    Place high;
  };
  std::deque<Range> waiting;  // of the nodes that have no children yet
  // Growing by doubling would take up to three times the memory for long patterns.
  std::size_t most = 2;
  for (const std::string_view pattern : patterns) most += pattern.size();
  nodes_.reserve(most);
  labels_.reserve(most);
  nodes_.push_back({.children = 0});
  labels_.push_back(0);
  waiting.push_back({order.begin(), order.end()});
  for (State state = kStart; !waiting.empty(); ++state) {
    auto [low, high] = waiting.front();
    waiting.pop_front();
    const std::uint32_t depth = nodes_[state].depth;
    nodes_[state].children = static_cast<std::uint32_t>(nodes_.size());
    for (; low != high && patterns[*low].size() == depth; ++low) nodes_[state].longest = *low;
    while (low != high) {
      if (nodes_.size() >= kNone - 1) {
        fail(ErrorCode::unsupported, "the texts to look for have more than 2^32 bytes");
      }
      const unsigned char label = byte_of(*low, depth);
      const Place end =
          byte_of(*(high - 1), depth) == label
              ? high
              : std::upper_bound(low, high, label, [&](unsigned char value, std::uint32_t other) {
                  return value < byte_of(other, depth);
                });
      nodes_.push_back({.children = 0, .depth = depth + 1});
      labels_.push_back(label);
      waiting.push_back({low, end});
      low = end;
    }
  }
  const auto end = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({.children = end});
}

/// Finds for each state the longest shorter one that it ends with; parents come before children.
void PatternAutomaton::link() {
  for (std::uint32_t at = nodes_[0].children; at < nodes_[1].children; ++at) {
    from_start_[labels_[at]] = at;
  }
  const auto count = static_cast<State>(nodes_.size()) - 1;
  for (State state = kStart + 1; state < count; ++state) {
    for (std::uint32_t at = nodes_[state].children; at < nodes_[state + 1].children; ++at) {
      nodes_[at].shorter = next(nodes_[state].shorter, static_cast<char>(labels_[at]));
    }
  }
  for (State state = kStart + 1; state < count; ++state) {
    Node& node = nodes_[state];
    if (node.longest == kNone) node.longest = nodes_[node.shorter].longest;
  }
}

}  // namespace ingot::internal::tokenizer
