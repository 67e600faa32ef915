// Products and sums of sizes that come from callers and files: contexts, counts, rows, bytes. In
// plain arithmetic 2^30 positions of 2^34 bytes are 0 bytes, which fit everywhere.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "ingot/error.hpp"

namespace ingot::internal {

/// What an estimate says that 64 bits do not hold: more than any machine has.
inline constexpr std::uint64_t kBeyondCounting = std::numeric_limits<std::uint64_t>::max();

namespace checked_detail {

/// A size as an unsigned number; a negative one is no size, and counts as beyond counting.
template <std::integral T>
constexpr std::optional<std::uint64_t> as_size(T value) {
  if constexpr (std::signed_integral<T>) {
    if (value < 0) return std::nullopt;
  }
  return static_cast<std::uint64_t>(value);
}

constexpr std::optional<std::uint64_t> multiply(std::optional<std::uint64_t> a,
                                                std::optional<std::uint64_t> b) {
  if (!a || !b || (*b != 0 && *a > kBeyondCounting / *b)) return std::nullopt;
  return *a * *b;
}

constexpr std::optional<std::uint64_t> add(std::optional<std::uint64_t> a,
                                           std::optional<std::uint64_t> b) {
  if (!a || !b || *a > kBeyondCounting - *b) return std::nullopt;
  return *a + *b;
}

}  // namespace checked_detail

/// The product; nothing when 64 bits do not hold it or a factor is negative. A factor of 0 makes 0
/// only of what could be counted before it.
template <std::integral... Factors>
constexpr std::optional<std::uint64_t> try_product(Factors... factors) {
  std::optional<std::uint64_t> product = 1;
  ((product = checked_detail::multiply(product, checked_detail::as_size(factors))), ...);
  return product;
}

/// The sum; nothing when 64 bits do not hold it or a term is negative.
template <std::integral... Terms>
constexpr std::optional<std::uint64_t> try_sum(Terms... terms) {
  std::optional<std::uint64_t> sum = 0;
  ((sum = checked_detail::add(sum, checked_detail::as_size(terms))), ...);
  return sum;
}

/// For estimates that are compared with a limit: the product or sum, or kBeyondCounting.
template <std::integral... Factors>
constexpr std::uint64_t saturating_product(Factors... factors) {
  return try_product(factors...).value_or(kBeyondCounting);
}
template <std::integral... Terms>
constexpr std::uint64_t saturating_sum(Terms... terms) {
  return try_sum(terms...).value_or(kBeyondCounting);
}

/// For what is about to be allocated: the product, or Error out_of_memory, "`what` would take more
/// than 2^63 bytes" (no object may be larger: distances within it are std::ptrdiff_t).
template <std::integral... Factors>
constexpr std::size_t allocation_size(std::string_view what, Factors... factors) {
  const std::optional<std::uint64_t> product = try_product(factors...);
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max());
  if (!product || *product > kLargest) {
    fail(ErrorCode::out_of_memory, what, " would take more than 2^63 bytes; ask for less");
  }
  return static_cast<std::size_t>(*product);
}

}  // namespace ingot::internal
