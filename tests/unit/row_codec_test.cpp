// How cache rows are rounded: broken by codes that are not the nearest, by a rotation that is not
// undone, or by an outlier that costs its neighbours their bits.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "ingot/quant/formats.hpp"
#include "src/state/host_pool.hpp"
#include "src/state/row_rotation.hpp"

namespace ingot::internal {
namespace {

std::vector<float> normal_row(std::mt19937& random, std::int64_t size) {
  std::normal_distribution<float> normal;
  std::vector<float> row(static_cast<std::size_t>(size));
  for (float& x : row) x = normal(random);
  return row;
}

double length(const std::vector<float>& row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

/// Length of what a row loses in a cache of the type.
double lost(DType type, const std::vector<float>& row) {
  const auto size = static_cast<std::int64_t>(row.size());
  std::vector<std::byte> bytes(state_row_bytes(type, size));
  encode_state_row(type, row, bytes.data());
  std::vector<float> back(row.size());
  decode_state_row(type, bytes.data(), back);
  for (std::size_t i = 0; i < row.size(); ++i) back[i] -= row[i];
  return length(back);
}

/// The same with the published rounding of the format, unrotated.
double lost_plainly(DType type, const std::vector<float>& row) {
  std::vector<float> padded((row.size() + 31) / 32 * 32, 0.0F);
  std::copy(row.begin(), row.end(), padded.begin());
  const auto size = static_cast<std::int64_t>(padded.size());
  std::vector<std::byte> bytes(row_bytes(type, size));
  quant::format(type).quantize(padded.data(), bytes.data(), size);
  std::vector<float> back(padded.size());
  quant::format(type).dequantize(bytes.data(), back.data(), size);
  for (std::size_t i = 0; i < back.size(); ++i) back[i] -= padded[i];
  return length(back);
}

// Blocks of a normal distribution have no outliers to share out: over many rows the search for a
// scale, and in padded blocks for codes, must not be worse than the published rounding.
TEST(RowCodec, LosesNoMoreThanThePublishedRounding) {
  std::mt19937 random(1);
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    for (const std::int64_t size : {5, 16, 32, 80, 128}) {
      double ours = 0;
      double plain = 0;
      for (int i = 0; i < 200; ++i) {
        const auto row = normal_row(random, size);
        ours += std::pow(lost(type, row), 2);
        plain += std::pow(lost_plainly(type, row), 2);
      }
      EXPECT_LT(ours, plain) << to_string(type) << " rows of " << size;
    }
  }
}

// With one element 30 times the others, plain rounding has steps of 30 / 127 for all; rotated, the
// outlier adds 30 / sqrt(32) to each of 32 codes, and steps are less than a third of that.
TEST(RowCodec, AnOutlierDoesNotCostTheOthersTheirBits) {
  std::mt19937 random(2);
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    auto row = normal_row(random, 128);
    for (std::size_t i = 7; i < row.size(); i += 32) row[i] = 30.0F;
    EXPECT_LT(lost(type, row), lost_plainly(type, row) / 2) << to_string(type);
  }
}

// The bound that the tests of attention take from numerics.md.
TEST(RowCodec, ARowsLossHasABound) {
  std::mt19937 random(3);
  for (const std::int64_t size : {1, 7, 32, 33, 128}) {
    for (int i = 0; i < 50; ++i) {
      auto row = normal_row(random, size);
      row[0] *= static_cast<float>(i);
      EXPECT_LE(lost(DType::Q8_0, row), (0.5 * std::sqrt(32.0) / 127 + 1e-3) * length(row));
      EXPECT_LE(lost(DType::Q4_0, row), 0.38 * length(row));
    }
  }
}

TEST(RowCodec, ConstantAndEmptyRowsStayWhatTheyAre) {
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    // Unsigned, the transform of equal elements would be one spike of sqrt(32); these signs make 16
    // of sqrt(2), each a step (of sqrt(2) / 127 or / 8) off at most.
    const double step = std::sqrt(2.0) / (type == DType::Q8_0 ? 127 : 8);
    EXPECT_LE(lost(type, std::vector<float>(32, 1.0F)), 4 * step) << to_string(type);
    EXPECT_EQ(lost(type, std::vector<float>(40, 0.0F)), 0.0) << to_string(type);
    EXPECT_EQ(lost(type, std::vector<float>(40, 1e-30F)), length(std::vector<float>(40, 1e-30F)))
        << "below the smallest f16 scale: zero, nothing worse";
  }
}

TEST(RowCodec, RowsOfOtherTypesAreNotRotated) {
  const std::vector<float> row = {1.0F, 0.0F, -2.0F};
  for (const DType type : {DType::F32, DType::F16, DType::BF16}) EXPECT_EQ(lost(type, row), 0.0);
}

TEST(RowCodec, WhatIsNotANumberBecomesZeroAndInfinitiesSaturate) {
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    std::vector<float> row(32, 1.0F);
    row[3] = NAN;
    row[4] = INFINITY;
    std::vector<std::byte> bytes(state_row_bytes(type, 32));
    encode_state_row(type, row, bytes.data());
    std::vector<float> back(32);
    decode_state_row(type, bytes.data(), back);
    for (const float x : back) EXPECT_TRUE(std::isfinite(x));
    EXPECT_NEAR(back[4], 65504.0F, 65504.0F * 0.38F);
  }
}

}  // namespace
}  // namespace ingot::internal
