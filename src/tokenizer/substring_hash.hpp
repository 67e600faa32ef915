// Hashes of a text's parts in constant time each, however long they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ingot::internal::tokenizer {

/// A text read as a polynomial's coefficients, modulo the prime 2⁶¹ − 1 (Karp and Rabin 1987,
/// "Efficient randomized pattern-matching algorithms"): two texts of n bytes have the same hash for
/// at most n of the 2⁶¹ bases.
class PolynomialHash {
 public:
  explicit PolynomialHash(std::uint64_t seed) : base_(seed % (kPrime - 256) + 256) {}

  std::uint64_t of(std::string_view text) const {
    std::uint64_t hash = 0;
    for (const char byte : text) hash = append(hash, byte);
    return hash;
  }

  std::uint64_t append(std::uint64_t hash, char byte) const {
    return add(multiply(hash, base_), std::uint64_t{static_cast<unsigned char>(byte)} + 1);
  }

  std::uint64_t base() const { return base_; }

  static std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return add(static_cast<std::uint64_t>(product) & kPrime,
               static_cast<std::uint64_t>(product >> 61U));
  }
  static std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t sum = a + b;
    return sum >= kPrime ? sum - kPrime : sum;
  }
  static std::uint64_t subtract(std::uint64_t a, std::uint64_t b) {
    return a >= b ? a - b : a + kPrime - b;
  }

 private:
  static constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61U) - 1;
  std::uint64_t base_;
};

/// The hashes of one text's parts of up to `longest` bytes.
class SubstringHash {
 public:
  SubstringHash() = default;
  SubstringHash(const PolynomialHash& hash, std::string_view text, std::size_t longest) {
    beginnings_.resize(text.size() + 1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      beginnings_[i + 1] = hash.append(beginnings_[i], text[i]);
    }
    powers_.resize(std::min(longest, text.size()) + 1);
    powers_[0] = 1;
    for (std::size_t i = 1; i < powers_.size(); ++i) {
      powers_[i] = PolynomialHash::multiply(powers_[i - 1], hash.base());
    }
  }

  /// PolynomialHash::of(text.substr(begin, size)).
  std::uint64_t of(std::size_t begin, std::size_t size) const {
    return PolynomialHash::subtract(beginnings_[begin + size],
                                    PolynomialHash::multiply(beginnings_[begin], powers_[size]));
  }

 private:
  std::vector<std::uint64_t> beginnings_;  // of text.substr(0, i)
  std::vector<std::uint64_t> powers_;      // of the base
};

}  // namespace ingot::internal::tokenizer
