// RoPE scaling variants against their published definitions, computed here another way.
#include "src/arch/rope_frequencies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace ingot::internal {
namespace {

TEST(RopeFrequencies, UnscaledAreAGeometricSeries) {
  const RopeTable table = rope_table(10000, 128, {}, {});
  ASSERT_EQ(table.inverse_frequencies.size(), 64U);
  EXPECT_DOUBLE_EQ(table.inverse_frequencies[0], 1.0);
  EXPECT_NEAR(table.inverse_frequencies[32], 0.01, 1e-15);
  EXPECT_EQ(table.magnitude, 1.0);
}

TEST(RopeFrequencies, LinearScalingDividesAll) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::linear;
  scaling.factor = 4;
  const RopeTable plain = rope_table(1e5, 64, {}, {});
  const RopeTable scaled = rope_table(1e5, 64, scaling, {});
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_DOUBLE_EQ(scaled.inverse_frequencies[i] * 4, plain.inverse_frequencies[i]);
  }
}

TEST(RopeFrequencies, FactorsDividePairByPair) {
  const std::vector<float> factors = {1, 2, 4, 8};
  const RopeTable plain = rope_table(500000, 8, {}, {});
  const RopeTable scaled = rope_table(500000, 8, {}, factors);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(scaled.inverse_frequencies[i] * static_cast<double>(factors[i]),
                     plain.inverse_frequencies[i]);
  }
}

// Qwen2.5's published setting: factor 4 over 32,768 positions, base 1e6, heads of 128. In the words
// of the paper: pairs with more than 32 turns in the original context are kept, with less than one
// turn interpolated.
TEST(RopeFrequencies, YarnKeepsFastPairsAndInterpolatesSlowOnes) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::yarn;
  scaling.factor = 4;
  scaling.original_context = 32768;
  const RopeTable plain = rope_table(1e6, 128, {}, {});
  const RopeTable scaled = rope_table(1e6, 128, scaling, {});
  EXPECT_NEAR(scaled.magnitude, 1.138629436111989, 1e-12);  // 0.1 ln 4 + 1
  int kept = 0;
  int interpolated = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    const double ratio = scaled.inverse_frequencies[i] / plain.inverse_frequencies[i];
    const double turns = 32768 * plain.inverse_frequencies[i] / 6.283185307179586;
    EXPECT_LE(ratio, 1.0 + 1e-15);
    EXPECT_GE(ratio, 0.25 - 1e-15);
    // The ramp's ends are rounded outwards to whole pairs; one pair is a factor 1.24 in turns.
    if (turns > 32 * 1.25) {
      EXPECT_DOUBLE_EQ(ratio, 1.0);
      ++kept;
    }
    if (turns < 1 / 1.25) {
      EXPECT_DOUBLE_EQ(ratio, 0.25);
      ++interpolated;
    }
  }
  EXPECT_GT(kept, 15);
  EXPECT_GT(interpolated, 15);
}

// gpt-oss's published setting: factor 32 over 4,096 positions, base 150,000, heads of 64, truncate
// false. Unrounded, the ramp is linear in the logarithm of a pair's turns, from 32 turns down to 1.
TEST(RopeFrequencies, AnUnroundedYarnRampIsLinearInTheLogarithmOfTurns) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::yarn;
  scaling.factor = 32;
  scaling.original_context = 4096;
  scaling.truncate = false;
  const RopeTable plain = rope_table(150000, 64, {}, {});
  const RopeTable scaled = rope_table(150000, 64, scaling, {});
  scaling.truncate = true;
  const RopeTable rounded = rope_table(150000, 64, scaling, {});
  int between = 0;
  int different = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const double turns = 4096 * plain.inverse_frequencies[i] / 6.283185307179586;
    const double slow = std::clamp(std::log(32 / turns) / std::log(32.0), 0.0, 1.0);
    const double expected = plain.inverse_frequencies[i] * (1 - slow + slow / 32);
    EXPECT_NEAR(scaled.inverse_frequencies[i] / expected, 1, 1e-12) << i;
    between += slow > 0 && slow < 1 ? 1 : 0;
    different += std::abs(rounded.inverse_frequencies[i] / expected - 1) > 1e-3 ? 1 : 0;
  }
  EXPECT_GT(between, 5);
  EXPECT_GT(different, 5) << "rounding makes no difference: this test finds nothing";
}

TEST(RopeFrequencies, RoundingIsTheDefault) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::yarn;
  scaling.factor = 4;
  scaling.original_context = 32768;
  const RopeTable silent = rope_table(1e6, 128, scaling, {});
  scaling.truncate = true;
  EXPECT_EQ(rope_table(1e6, 128, scaling, {}).inverse_frequencies, silent.inverse_frequencies);
}

}  // namespace
}  // namespace ingot::internal
