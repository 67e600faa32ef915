#include "support/numbers.hpp"

#include <charconv>
#include <random>
#include <sstream>

#include "ingot/printable.hpp"

namespace ingot::tools {
namespace {

template <class Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class Number>
CLI::Validator in_range(const char* kind, Number low, Number high) {
  std::ostringstream range;
  range << "' is no " << kind << " from " << low << " to " << high;
  const auto refuse = [low, high, message = range.str()](std::string& text) -> std::string {
    const auto value = parse<Number>(text);
    if (value && *value >= low && *value <= high) return {};
    return "'" + printable(text) + message;
  };
  return {refuse, ""};
}

}  // namespace

std::optional<std::int64_t> parse_whole(std::string_view text) {
  return parse<std::int64_t>(text);
}

CLI::Validator whole_number(std::int64_t low, std::int64_t high) {
  return in_range("whole number", low, high);
}

CLI::Validator real_number(double low, double high) {
  return in_range("number", low, high);
}

CLI::Option* add_seed_option(CLI::App& command, std::optional<std::uint64_t>& seed,
                             const std::string& help) {
  return command
      .add_option_function<std::string>(
          "--seed",
          [&seed](const std::string& text) {
            seed = parse<std::uint64_t>(text);
            if (seed || text == "-1") return;
            throw CLI::ValidationError(
                "--seed", "'" + printable(text) +
                              "' is no whole number from 0 to 18446744073709551615, nor -1, which "
                              "draws one at random");
          },
          help)
      ->type_name("S");
}

std::uint64_t draw_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace ingot::tools
