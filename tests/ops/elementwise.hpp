// Shapes and bounds that the tests of elementwise operations share.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/op_case.hpp"

namespace ingot::test {

// One element; around vectors of 4, 8 and 16; more than one task.
inline const std::vector<std::int64_t> kColumns = {1, 3, 4, 7, 15, 16, 17, 33, 100, 20000};
inline const std::vector<std::int64_t> kRows = {1, 2, 3, 9};

template <class Test>
void for_each_shape(Test test) {
  for (const std::int64_t columns : kColumns) {
    for (const std::int64_t rows : kRows) {
      SCOPED_TRACE("columns " + std::to_string(columns) + ", rows " + std::to_string(rows));
      OpCase c({{0, rows}}, static_cast<std::uint32_t>(columns + rows));
      test(c, columns);
    }
  }
}

inline constexpr ops::ActivationKind kKinds[] = {
    ops::ActivationKind::silu, ops::ActivationKind::gelu, ops::ActivationKind::gelu_tanh,
    ops::ActivationKind::gelu_quick, ops::ActivationKind::sigmoid};

// x / (1 + e^-u): the exponential is within 2^-21 and its argument u within 6 roundings of its size
// (the polynomial of gelu_tanh), which becomes a relative error of 6 u 2^-24 of the exponential;
// that matters only while e^-u is not far above 1, where u < 88. erf in f32 is within 2 roundings,
// and 1 + erf cancels for negative x: 4 roundings of x absolutely.
inline double activation_bound(ops::ActivationKind kind, double x, double y) {
  const double root = 0.7978845608;
  const double u = kind == ops::ActivationKind::gelu_tanh
                       ? 2 * root * (std::abs(x) + 0.044715 * std::abs(x * x * x))
                       : (kind == ops::ActivationKind::gelu_quick ? 1.702 : 1.0) * std::abs(x);
  if (kind == ops::ActivationKind::gelu) return 6 * kUnit * std::abs(x);
  const double relative = std::pow(2.0, -21) + 6 * kUnit * std::min(u, 100.0) + 4 * kUnit;
  // Beyond f32 the exponential is infinite: what is left of y is below |x| / e^88. The reference's
  // own 1 + tanh cancels in double.
  // The sigmoid has 1 where the others have x.
  const double size = kind == ops::ActivationKind::sigmoid ? 1.0 : std::abs(x);
  return relative * std::abs(y) + size * (std::exp(-88.0) + std::pow(2.0, -52));
}

}  // namespace ingot::test
