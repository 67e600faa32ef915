// The 16-bit floats against their definitions. A failure means that scales, f16 weights or the
// cache round differently than IEEE 754 says.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "ingot/quant/bf16.hpp"
#include "ingot/quant/e8m0.hpp"
#include "ingot/quant/f16.hpp"

namespace ingot::quant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint32_t bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

// The definition of a finite binary16, in double.
double f16_value(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(F16, DecodesEveryFiniteValue) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    if ((half & 0x7c00u) == 0x7c00u) continue;
    const auto expected = static_cast<float>(f16_value(static_cast<std::uint16_t>(half)));
    ASSERT_EQ(bits(from_f16(static_cast<std::uint16_t>(half))), bits(expected)) << half;
  }
}

TEST(F16, InfinitiesAndNanSurviveBothWays) {
  EXPECT_EQ(from_f16(0x7c00), kInfinity);
  EXPECT_EQ(from_f16(0xfc00), -kInfinity);
  EXPECT_EQ(to_f16(kInfinity), 0x7c00);
  EXPECT_EQ(to_f16(-kInfinity), 0xfc00);
  for (std::uint32_t half = 0x7c01; half < 0x8000; ++half) {
    const float value = from_f16(static_cast<std::uint16_t>(half));
    ASSERT_TRUE(std::isnan(value)) << half;
    ASSERT_EQ(to_f16(value), half | 0x200u);    // the same payload, quiet
    ASSERT_EQ(to_f16(-value), half | 0x8200u);  // the sign kept
    ASSERT_TRUE(std::isnan(from_f16(to_f16_saturating(value))));
  }
  EXPECT_EQ(to_f16(std::bit_cast<float>(0x7f800001u)) & 0x7e00, 0x7e00);  // low payload bits only
}

// Between each two neighbours: below the midpoint down, above it up, on it to the even one. This
// pins every rounding decision that to_f16 can make.
TEST(F16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (std::uint32_t half = 0; half < 0x7c00; ++half) {
    const double low = f16_value(static_cast<std::uint16_t>(half));
    const double high = half == 0x7bff ? 65536.0 : f16_value(static_cast<std::uint16_t>(half + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // 12 bits: exact
    const std::uint32_t even = half + (half & 1u);
    ASSERT_EQ(to_f16(static_cast<float>(low)), half);
    ASSERT_EQ(to_f16(middle), even) << half;
    ASSERT_EQ(to_f16(std::nextafter(middle, 0.0f)), half) << half;
    ASSERT_EQ(to_f16(std::nextafter(middle, kInfinity)), half + 1) << half;
    ASSERT_EQ(to_f16(-middle), even | 0x8000u) << half;
  }
  EXPECT_EQ(to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::max()), 0x7c00);
}

TEST(F16, SaturatingNeverBecomesInfinite) {
  for (const float value :
       {65520.0f, 65536.0f, 1e30f, std::numeric_limits<float>::max(), kInfinity}) {
    EXPECT_EQ(to_f16_saturating(value), 0x7bff) << value;
    EXPECT_EQ(to_f16_saturating(-value), 0xfbff) << value;
  }
  EXPECT_EQ(to_f16_saturating(65519.0f), 0x7bff);
  EXPECT_EQ(to_f16_saturating(1.0f), 0x3c00);
}

TEST(BF16, DecodesTheUpperHalf) {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper)
    ASSERT_EQ(bits(from_bf16(static_cast<std::uint16_t>(upper))), upper << 16);
}

TEST(BF16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (std::uint32_t upper = 0; upper < 0x7f80; ++upper) {
    const std::uint32_t middle = (upper << 16) | 0x8000u;
    const std::uint32_t even = upper + (upper & 1u);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(upper << 16)), upper);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(middle)), even);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(middle - 1)), upper);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(middle + 1)), upper + 1);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(middle | 0x80000000u)), even | 0x8000u);
  }
}

TEST(BF16, InfinitiesAndNanSurvive) {
  EXPECT_EQ(to_bf16(kInfinity), 0x7f80);
  EXPECT_EQ(to_bf16(-kInfinity), 0xff80);
  // NaN whose payload is all in the discarded half must not turn into infinity.
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0xffffffffu)), 0xffff);
}

TEST(E8M0, IsHalfThePowerOfTwo) {
  for (int exponent = 0; exponent < 256; ++exponent) {
    const double expected = std::ldexp(1.0, exponent - 128);
    ASSERT_EQ(static_cast<double>(e8m0_half(static_cast<std::uint8_t>(exponent))), expected)
        << exponent;
  }
}

}  // namespace
}  // namespace ingot::quant
