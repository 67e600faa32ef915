// Many byte strings sought in a text at once, in one pass, whatever the strings and the text are
// (Aho and Corasick 1975, "Efficient string matching: an aid to bibliographic search").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ingot::internal::tokenizer {

/// Reads bytes one by one; its state is the longest end of what was read that begins a pattern.
/// Takes 17 bytes for each byte of the patterns (common beginnings once), and time in proportion to
/// the bytes read, besides the search among the bytes that may follow a state (256 at most).
class PatternAutomaton {
 public:
  using State = std::uint32_t;
  static constexpr State kStart = 0;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  /// The end of the text from which bytes are read; patterns are read from the same end.
  enum class Direction { forward, backward };

  /// Patterns must not be empty; they are not needed any more afterwards. Of equal ones the last
  /// counts. Error unsupported for patterns of 2³² bytes and more.
  explicit PatternAutomaton(std::span<const std::string_view> patterns = {},
                            Direction direction = Direction::forward);

  State next(State state, char byte) const {
    const auto label = static_cast<unsigned char>(byte);
    while (state != kStart) {
      if (const State found = child(state, label); found != kNone) return found;
      state = nodes_[state].shorter;
    }
    return from_start_[label];
  }

  /// The longest pattern that ends with the last byte read (its index), or kNone.
  std::uint32_t longest(State state) const { return nodes_[state].longest; }

  /// How many of the last bytes read begin a pattern.
  std::size_t depth(State state) const { return nodes_[state].depth; }

  bool empty() const { return nodes_.size() <= 2; }  // the start and the end mark

 private:
  struct Node {
    std::uint32_t children;         ///< the first; they reach to the next node's
    std::uint32_t longest = kNone;  ///< pattern that ends here
    std::uint32_t depth = 0;        ///< bytes from the start
    State shorter = kStart;         ///< the longest shorter state that is an end of this one
  };

  void grow(std::span<const std::string_view> patterns);
  void link();

  State child(State state, unsigned char label) const {
    std::uint32_t low = nodes_[state].children;
    std::uint32_t count = nodes_[state + 1].children - low;
    while (count > 1) {
      const std::uint32_t half = count / 2;
      if (labels_[low + half] <= label) low += half;
      count -= half;
    }
    return count == 1 && labels_[low] == label ? low : kNone;
  }

  std::vector<Node> nodes_;            // by depth, children of a node side by side; an end mark
  std::vector<unsigned char> labels_;  // the byte that leads to a node
  std::array<State, 256> from_start_{};
};

}  // namespace ingot::internal::tokenizer
