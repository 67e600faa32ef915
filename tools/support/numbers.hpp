// Numbers on the command line: in range and held exactly, or bad usage that names option and range.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace ingot::tools {

/// The number that `text` is, in decimal and with nothing around it; nothing if it is anything else
/// or does not fit into 64 bits.
std::optional<std::int64_t> parse_whole(std::string_view text);

/// Accepts whole numbers from `low` to `high`. It looks at the text, before CLI11 makes a number of
/// it: that would take 1e99 for infinity and 99999999999999999999 for the largest number.
CLI::Validator whole_number(std::int64_t low,
                            std::int64_t high = std::numeric_limits<std::int64_t>::max());

/// Accepts numbers from `low` to `high`; no NaN and no infinity.
CLI::Validator real_number(double low, double high);

/// --seed: 0 to 2⁶⁴ − 1, or -1 for one drawn at random, which leaves `seed` empty.
CLI::Option* add_seed_option(CLI::App& command, std::optional<std::uint64_t>& seed,
                             const std::string& help);

/// A seed that nobody could have guessed.
std::uint64_t draw_seed();

}  // namespace ingot::tools
