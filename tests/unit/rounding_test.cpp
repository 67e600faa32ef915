// What a rounding makes of numbers, as bounds of products take it: broken by a wrong step or
// border, or by a doubt that is too small where a device's own roundings decide.
#include "src/device/rounding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace ingot::internal {
namespace {

RoundingErrors of(Rounding rounding, const std::vector<float>& numbers) {
  return rounding_errors(rounding, std::span<const float>(numbers));
}

std::vector<float> numbers_of_any_size() {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> out;
  for (int i = 0; i < 4096; ++i) out.push_back(std::ldexp(normal(random), i % 41 - 20));
  return out;
}

TEST(RoundingTest, OfNothingIsExact) {
  const RoundingErrors errors = of(Rounding::none, {1.0F, -0.3F, 1e-40F});
  EXPECT_EQ(errors.error, (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(errors.doubt, (std::vector<double>{0, 0, 0}));
}

TEST(RoundingTest, ToBf16KeepsEightBits) {
  // 1 + 2^-8 lies in the middle of 1 and 1 + 2^-7; the even one is 1.
  const RoundingErrors errors =
      of(Rounding::bf16, {1.0F, 1.0F + 0x1p-8F, 1.0F + 0x1p-7F + 0x1p-9F, -3.0F - 0x1p-8F, 1e-40F});
  EXPECT_EQ(errors.error[0], 0);
  EXPECT_EQ(errors.error[1], -0x1p-8);
  EXPECT_EQ(errors.doubt[1], 0x1p-7) << "a device may take the other one";
  EXPECT_EQ(errors.error[2], -0x1p-9);
  EXPECT_EQ(errors.doubt[2], 0);
  EXPECT_EQ(errors.error[3], 0x1p-8);
  EXPECT_EQ(errors.error[4], -static_cast<double>(1e-40F)) << "subnormal numbers count as zero";
}

TEST(RoundingTest, OfFloatsIsWithinItsLargestShare) {
  for (const Rounding rounding : {Rounding::bf16, Rounding::bf16_enlarged, Rounding::f16}) {
    const std::vector<float> numbers = numbers_of_any_size();
    const RoundingErrors errors = of(rounding, numbers);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double size = std::abs(static_cast<double>(numbers[i]));
      if (rounding == Rounding::f16 && (size < 0x1p-14 || size > 65504)) continue;
      EXPECT_LE(std::abs(errors.error[i]), largest_share(rounding) * size) << numbers[i];
    }
  }
}

// What becomes of a number is one of bf16, and one that is stays what it is.
TEST(RoundingTest, EnlargedAndCutIsABf16) {
  for (const float x : numbers_of_any_size()) {
    const RoundingErrors errors = of(Rounding::bf16_enlarged, {x});
    const double rounded = static_cast<double>(x) + errors.error[0];
    if (std::abs(x) < 1e-37F) continue;
    const double units = std::ldexp(rounded, 7 - std::ilogb(rounded));
    EXPECT_EQ(units, std::trunc(units)) << x;
    EXPECT_EQ(of(Rounding::bf16_enlarged, {static_cast<float>(rounded)}).error[0], 0) << x;
  }
}

TEST(RoundingTest, BlocksShareAScale) {
  std::vector<float> numbers(64, 0.0F);
  numbers[0] = 127.0F;
  numbers[1] = 3.25F;
  numbers[2] = -3.75F;
  numbers[3] = 0.5F;
  numbers[33] = -1270.0F;
  numbers[34] = 12.0F;
  const RoundingErrors errors = of(Rounding::i8_blocks, numbers);
  EXPECT_EQ(errors.error[0], 0);
  EXPECT_EQ(errors.error[1], -0.25);
  EXPECT_EQ(errors.error[2], -0.25);
  EXPECT_EQ(errors.doubt[2], 0);
  EXPECT_EQ(errors.doubt[3], 1.0) << "the middle";
  EXPECT_EQ(errors.error[33], 0);
  EXPECT_DOUBLE_EQ(errors.error[34], -2.0) << "of the second block, whose step is 10";
  const RoundingErrors fine = of(Rounding::i16_blocks, numbers);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_LE(std::abs(fine.error[i]), 127.0 / 32639 / 2);
}

TEST(RoundingTest, BlocksThatAreTooSmallCountAsZero) {
  const std::vector<float> numbers(32, 0x1p-120F);
  const RoundingErrors errors = of(Rounding::i16_blocks, numbers);
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(errors.error[i], -0x1p-120);
    EXPECT_EQ(errors.doubt[i], 0x1p-120);
  }
}

TEST(RoundingTest, HalvesSaturate) {
  const RoundingErrors errors = of(Rounding::f16, {1e6F, -65504.0F, 0x1p-25F});
  EXPECT_EQ(errors.error[0], 65504.0 - 1e6);
  EXPECT_EQ(errors.error[1], 0);
  EXPECT_LE(std::abs(errors.error[2]), 0x1p-25);
}

}  // namespace
}  // namespace ingot::internal
