// What bounds are put together from.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace ingot::internal {

/// Errors that are at most e_i each and do not point one way: their sum is below kSpread times the
/// root of the sum of their squares. Of errors spread evenly over [-e, e] that is five standard
/// deviations.
inline constexpr double kSpread = 3.0;

template <class Real>
double norm(std::span<const Real> row) {
  double sum = 0;
  for (const Real x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

template <class Left, class Right>
double dot(std::span<const Left> a, std::span<const Right> b) {
  // Four sums, so that the compiler may use vectors.
  double sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= a.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
    }
  }
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// A sum whose terms pass through so many roundings one after the other. `total` is the sum, or the
/// norm of several; `root` the root of the sum of the terms' squares. Sums on the way are as large
/// as `root` where terms have any sign; where they have one sign, a mean of half the total, and
/// their errors may point one way.
inline double sum_error(double unit, double roundings, double total, double root) {
  return unit * (roundings / 2 * std::abs(total) + kSpread * std::sqrt(roundings) * root);
}

}  // namespace ingot::internal
