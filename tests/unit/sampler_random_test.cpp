// The sampler's random numbers. If these fail, a seed no longer gives the published sequence, and
// users' seeds stop reproducing their texts.
#include <gtest/gtest.h>

#include "ingot/sampler/random.hpp"

namespace ingot {
namespace {

TEST(SamplerRandom, MatchesThePublishedPcg32Demo) {
  // pcg32-demo of pcg-c-basic (pcg-random.org), round 1: seed 42, stream 54.
  Pcg32 random(42, 54);
  const std::uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                                    0x83d2f293, 0xbfa4784b, 0xcbed606e};
  for (const std::uint32_t value : expected) EXPECT_EQ(random.next(), value);
}

TEST(SamplerRandom, UniformUses53BitsBelowOne) {
  Pcg32 random(42, 54);
  // From the first two outputs: 27 high bits of one, 26 of the other.
  const auto high = static_cast<double>(0xa15c02b7U >> 5U);
  const auto low = static_cast<double>(0x7b47f409U >> 6U);
  EXPECT_EQ(random.uniform(), (high * 0x1p26 + low) * 0x1p-53);

  double sum = 0;
  const int count = 100000;
  for (int i = 0; i < count; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
  }
  // The mean's standard error is 1/sqrt(12 n) = 0.00091; five of them.
  EXPECT_NEAR(sum / count, 0.5, 0.0046);
}

}  // namespace
}  // namespace ingot
