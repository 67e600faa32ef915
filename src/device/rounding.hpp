// What a rounding makes of numbers.
#pragma once

#include <span>
#include <vector>

#include "src/device/error_model.hpp"

namespace ingot::internal {

/// Of each number: what it becomes, less itself; and how much else it could become where it lies so
/// near to the border between two that a device's own roundings decide.
struct RoundingErrors {
  std::vector<double> error;
  std::vector<double> doubt;
};

/// Numbers that follow each other in a row; blocks begin with the first.
RoundingErrors rounding_errors(Rounding rounding, std::span<const float> numbers);
RoundingErrors rounding_errors(Rounding rounding, std::span<const double> numbers);

/// The largest error of a number, as a share of it; of roundings that are not by blocks.
double largest_share(Rounding rounding);

}  // namespace ingot::internal
