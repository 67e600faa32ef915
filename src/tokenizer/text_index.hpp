// From a text to the token that has it: an open-addressing table of ids, whose texts stay where the
// vocabulary keeps them.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "ingot/tokenizer.hpp"

namespace ingot::internal::tokenizer {

/// A number that a file's author can't know, so that no file can be made whose texts all collide.
inline std::uint64_t hash_seed() {
  static const int anchor = 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return static_cast<std::uint64_t>(now) ^ std::bit_cast<std::uintptr_t>(&anchor);
}

/// 64 well-mixed bits of two words (the high and low half of their product, as in wyhash).
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  constexpr std::uint64_t kFirst = 0x9E3779B97F4A7C15U;
  constexpr std::uint64_t kSecond = 0xD6E8FEB86659FD93U;
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t state = seed ^ (left * kFirst);
  for (; left > 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    state = mix(state ^ word, kSecond);
  }
  std::uint64_t last = 0;
  if (left >= 4) {
    std::uint32_t low;
    std::uint32_t high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    last = std::uint64_t{high} << 32U | low;
  } else if (left > 0) {
    last = static_cast<std::uint64_t>(static_cast<unsigned char>(at[0])) << 16U |
           static_cast<std::uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8U |
           static_cast<unsigned char>(at[left - 1]);
  }
  return mix(state ^ last, kFirst);
}

/// Ids by text. `text_of(id)` must give the same text for as long as the index is used.
class TextIndex {
 public:
  /// Makes room for `count` texts, at most half full.
  explicit TextIndex(std::size_t count = 0)
      : slots_(std::bit_ceil(count * 2 + 2)), seed_(hash_seed()) {}

  /// Adds a text; of equal texts the first one stays.
  template <class TextOf>
  void add(std::string_view text, TokenId id, const TextOf& text_of) {
    const std::uint64_t hash = hash_text(text, seed_);
    Slot& slot = slots_[place(text, hash, text_of)];
    if (slot.id < 0) slot = {tag(hash), id};
  }

  /// The id with that text, or −1.
  template <class TextOf>
  TokenId find(std::string_view text, const TextOf& text_of) const {
    return slots_[place(text, hash_text(text, seed_), text_of)].id;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    TokenId id = -1;
  };

  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32U); }

  /// Where the text is, or the empty slot where it would be.
  template <class TextOf>
  std::size_t place(std::string_view text, std::uint64_t hash, const TextOf& text_of) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].id >= 0 && !(slots_[at].tag == tag(hash) && text_of(slots_[at].id) == text)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
  std::uint64_t seed_;
};

}  // namespace ingot::internal::tokenizer
