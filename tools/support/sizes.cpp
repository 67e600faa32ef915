#include "support/sizes.hpp"

#include <cctype>
#include <string>

namespace ingot::tools {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};

/// The number of bytes that a unit (lower case) stands for.
std::optional<std::uint64_t> unit_bytes(std::string_view unit) {
  if (unit.empty() || unit == "b") return 1;
  constexpr std::string_view kLetters = "kmgtpe";
  const std::size_t power = kLetters.find(unit.front());
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  const bool decimal = rest == "b";
  if (!decimal && !rest.empty() && rest != "ib" && rest != "i") return std::nullopt;
  std::uint64_t bytes = 1;
  for (std::size_t i = 0; i <= power; ++i) bytes *= decimal ? 1000 : 1024;
  return bytes;
}

/// Digits and at most one point; `scale` is 10^(digits behind the point).
struct Decimal {
  std::uint64_t digits = 0;
  std::uint64_t scale = 1;
};

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal number;
  bool behind_point = false;
  bool any = false;
  for (const char c : text) {
    if (c == '.' && !behind_point) {
      behind_point = true;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    any = true;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (number.digits > (kMost - digit) / 10 || number.scale > kMost / 10) return std::nullopt;
    number.digits = number.digits * 10 + digit;
    if (behind_point) number.scale *= 10;
  }
  return any ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const std::size_t end = text.find_first_not_of("0123456789.");
  const auto number = parse_decimal(text.substr(0, end));
  if (!number) return std::nullopt;
  std::string unit;
  if (end != std::string_view::npos) {
    for (const char c : text.substr(end)) {
      if (c == ' ' && unit.empty()) continue;
      unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  const auto bytes = unit_bytes(unit);
  if (!bytes) return std::nullopt;
  // digits * bytes / scale, without losing what does not fit between: whole part and rest apart.
  const std::uint64_t whole = number->digits / number->scale;
  const std::uint64_t rest = number->digits % number->scale;
  if (whole > kMost / *bytes) return std::nullopt;
  const auto part = static_cast<std::uint64_t>(static_cast<long double>(rest) /
                                               static_cast<long double>(number->scale) *
                                               static_cast<long double>(*bytes));
  const std::uint64_t product = whole * *bytes;
  if (part > kMost - product) return std::nullopt;
  return product + part;
}

}  // namespace ingot::tools
