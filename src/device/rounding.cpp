#include "src/device/rounding.hpp"

#include <algorithm>
#include <cmath>

#include "ingot/error.hpp"

namespace ingot::internal {
namespace {

constexpr std::size_t kBlock = 32;

struct Number {
  double error = 0;
  double doubt = 0;
};

// The distance between neighbouring numbers of `bits` significant bits around x, of which none is
// smaller than that around `least`.
double spacing(double x, int bits, double least) {
  return std::ldexp(1.0, std::ilogb(std::max(std::abs(x), least)) + 1 - bits);
}

// To nearest, where `doubtful` is how far from the middle a device may decide either way.
Number to_nearest(double x, double step, double doubtful) {
  const double units = x / step;
  const double nearest = std::nearbyint(units);
  const double from_middle = 0.5 - std::abs(units - nearest);
  return {(nearest - units) * step, from_middle <= doubtful ? step : 0.0};
}

// Numbers below the smallest normal one count as zero on some hardware.
Number to_bf16(double x) {
  constexpr double kNormal = 0x1p-126;
  if (std::abs(x) < kNormal) return {-x, std::abs(x)};
  return to_nearest(x, spacing(x, 8, kNormal), 0.0);
}

Number to_f16(double x) {
  constexpr double kLargest = 65504.0;
  if (std::abs(x) > kLargest) return {std::copysign(kLargest, x) - x, 0.0};
  Number out = to_nearest(x, spacing(x, 11, 0x1p-14), 0.0);
  if (std::abs(x) < 0x1p-14) out.doubt = std::max(out.doubt, std::abs(x));
  return out;
}

// A scale that gives up bits makes a number smaller by up to 2^-15, and the sum that brings codes
// in place is off by as much again: within that of a border either side is possible.
Number to_bf16_enlarged(double x) {
  constexpr double kNormal = 0x1p-126;
  constexpr double kUncertain = 0x1p-14;
  if (std::abs(x) < kNormal) return {-x, std::abs(x)};
  const double enlarged = x * (1.0 + 1.0 / 384.0);
  const double step = spacing(enlarged, 8, kNormal);
  const double units = enlarged / step;
  const double cut = std::trunc(units);
  const double from_border = std::min(std::abs(units - cut), 1.0 - std::abs(units - cut));
  return {cut * step - x, from_border <= kUncertain * std::abs(units) ? step : 0.0};
}

// `levels` is the integer of the largest magnitude. A scale's and a product's rounding move a
// number by at most 2^-7 steps.
template <class Real>
void by_blocks(std::span<const Real> numbers, double levels, RoundingErrors& out) {
  constexpr double kTiny = 0x1p-111;  // such blocks may count as zero
  for (std::size_t begin = 0; begin < numbers.size(); begin += kBlock) {
    const auto block = numbers.subspan(begin, std::min(kBlock, numbers.size() - begin));
    double most = 0;
    for (const Real x : block) most = std::max(most, std::abs(static_cast<double>(x)));
    for (std::size_t i = 0; i < block.size(); ++i) {
      const auto x = static_cast<double>(block[i]);
      const Number number =
          most < kTiny ? Number{-x, std::abs(x)} : to_nearest(x, most / levels, 0x1p-7);
      out.error[begin + i] = number.error;
      out.doubt[begin + i] = number.doubt;
    }
  }
}

template <class Real, class One>
void each(std::span<const Real> numbers, One one, RoundingErrors& out) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const Number number = one(static_cast<double>(numbers[i]));
    out.error[i] = number.error;
    out.doubt[i] = number.doubt;
  }
}

template <class Real>
RoundingErrors errors_of(Rounding rounding, std::span<const Real> numbers) {
  RoundingErrors out{std::vector<double>(numbers.size()), std::vector<double>(numbers.size())};
  switch (rounding) {
    case Rounding::none: break;
    case Rounding::f16: each(numbers, to_f16, out); break;
    case Rounding::bf16: each(numbers, to_bf16, out); break;
    case Rounding::bf16_enlarged: each(numbers, to_bf16_enlarged, out); break;
    case Rounding::bf16_pair:
      each(
          numbers,
          [](double x) {
            return Number{0.0, 0x1p-17 * std::abs(x)};
          },
          out);
      break;
    case Rounding::i16_blocks: by_blocks(numbers, 32639.0, out); break;
    case Rounding::i8_blocks: by_blocks(numbers, 127.0, out); break;
  }
  return out;
}

}  // namespace

RoundingErrors rounding_errors(Rounding rounding, std::span<const float> numbers) {
  return errors_of(rounding, numbers);
}

RoundingErrors rounding_errors(Rounding rounding, std::span<const double> numbers) {
  return errors_of(rounding, numbers);
}

double largest_share(Rounding rounding) {
  switch (rounding) {
    case Rounding::none: return 0.0;
    case Rounding::f16: return 0x1p-11;
    case Rounding::bf16: return 0x1p-8;
    case Rounding::bf16_enlarged: return 1.0 / 192;
    case Rounding::bf16_pair: return 1.5 * 0x1p-18;
    case Rounding::i16_blocks:
    case Rounding::i8_blocks: break;
  }
  fail(ErrorCode::internal, "numbers of a block have no largest error of their own");
}

}  // namespace ingot::internal
