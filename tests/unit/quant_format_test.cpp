// The seam that backends build on: lanes, traits, the list of formats. A failure means that a
// kernel written once over the seam is wrong for some format.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ingot/quant/formats.hpp"

namespace ingot::quant {
namespace {

// Calls body(Type{}) for every format, naming it in failures.
template <class Body>
void for_each_format(Body body) {
  for (const Format& row : kFormats) {
    SCOPED_TRACE(std::string(row.name));
    visit_format(row.id, body);
  }
}

// Blocks of any bytes at all: the codecs must be defined for every one (run under UBSan in CI).
template <class Type>
std::vector<typename Type::Block> random_blocks(int count) {
  std::mt19937 random(3);
  std::vector<typename Type::Block> blocks(static_cast<std::size_t>(count));
  std::vector<unsigned char> bytes(sizeof(typename Type::Block) * blocks.size());
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
  std::memcpy(blocks.data(), bytes.data(), bytes.size());
  return blocks;
}

TEST(Formats, ListsEachTypeOnceInTheOrderOfTheDocument) {
  std::vector<std::string> names;
  std::set<DType> ids;
  for (const Format& row : kFormats) {
    names.emplace_back(row.name);
    ids.insert(row.id);
    EXPECT_EQ(&format(row.id), &row);
    EXPECT_NE(row.dequantize, nullptr);
  }
  const std::vector<std::string> expected = {"F32",  "F16",    "BF16",   "Q8_0", "Q4_0", "Q4_1",
                                             "Q5_0", "Q5_1",   "Q2_K",   "Q3_K", "Q4_K", "Q5_K",
                                             "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(ids.size(), kFormats.size());
}

TEST(Formats, NumberOutsideTheListIsAnException) {
  const auto unknown = static_cast<DType>(4);
  EXPECT_EQ(find_format(unknown), nullptr);
  EXPECT_THROW(format(unknown), std::invalid_argument);
  EXPECT_THROW(visit_format(unknown, [](auto) { return 0; }), std::invalid_argument);
}

TEST(Formats, VisitPassesTheTraitOfTheType) {
  for_each_format([](auto trait) {
    using Type = decltype(trait);
    const Format& row = format(Type::kType);
    EXPECT_EQ(row.name, Type::kName);
    EXPECT_EQ(row.block_size, Type::kBlockSize);
    EXPECT_EQ(row.block_bytes, static_cast<int>(sizeof(typename Type::Block)));
  });
}

// Calls body(Type{}, lanes) for every group of 32 columns of random blocks of every integer format.
template <class Body>
void for_each_lanes(Body body) {
  for_each_format([&](auto trait) {
    using Type = decltype(trait);
    if constexpr (Type::kIntegerGrid) {
      for (const auto& block : random_blocks<Type>(64)) {
        for (int group = 0; group < Type::kBlockSize / 32; ++group) {
          Lanes32 lanes;
          Type::lanes(block, group, lanes);
          body(trait, lanes);
        }
      }
    }
  });
}

// Backends skip mins and second scales where the traits say so.
TEST(Formats, TraitsTellTheTruthAboutLanes) {
  for_each_lanes([](auto trait, const Lanes32& lanes) {
    using Type = decltype(trait);
    if (!Type::kHasMin) {
      EXPECT_EQ(lanes.min[0], 0.0f);
      EXPECT_EQ(lanes.min[1], 0.0f);
    }
    if (Type::kScaleSpan == 32) {
      EXPECT_EQ(std::memcmp(&lanes.scale[0], &lanes.scale[1], sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(&lanes.min[0], &lanes.min[1], sizeof(float)), 0);
    }
  });
}

// The reason why decoding has the same bits with and without FMA.
TEST(Formats, ScaleTimesCodeIsExact) {
  for_each_lanes([](auto, const Lanes32& lanes) {
    for (int i = 0; i < 32; ++i) {
      const float product = lanes.scale[i / 16] * static_cast<float>(lanes.q[i]);
      if (!std::isfinite(product)) continue;  // f16 infinities, MXFP4 beyond f32
      ASSERT_EQ(static_cast<double>(product),
                static_cast<double>(lanes.scale[i / 16]) * lanes.q[i]);
    }
  });
}

// Tensor data in a file, or a slice of it, may start anywhere.
TEST(Formats, RowsNeedNoAlignment) {
  for_each_format([](auto trait) {
    using Type = decltype(trait);
    const auto blocks = random_blocks<Type>(3);
    const std::int64_t count = 3 * Type::kBlockSize;
    const std::size_t bytes = 3 * sizeof(typename Type::Block);
    std::vector<std::byte> shifted(bytes + 1);
    std::memcpy(shifted.data() + 1, blocks.data(), bytes);
    std::vector<float> expected(static_cast<std::size_t>(count));
    for (int b = 0; b < 3; ++b)
      Type::dequantize(blocks[static_cast<std::size_t>(b)], expected.data() + b * Type::kBlockSize);
    std::vector<float> actual(expected.size());
    format(Type::kType).dequantize(shifted.data() + 1, actual.data(), count);
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)), 0);
  });
}

TEST(Formats, DotIsTheSumOverDecodedColumns) {
  for_each_format([](auto trait) {
    using Type = decltype(trait);
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    constexpr int kBlocks = 4;
    constexpr int kCount = kBlocks * Type::kBlockSize;
    std::vector<float> weights(kCount);
    std::vector<float> x(kCount);
    for (float& value : weights) value = normal(random);
    for (float& value : x) value = normal(random);
    std::vector<typename Type::Block> row(kBlocks);
    for (int b = 0; b < kBlocks; ++b)
      Type::quantize(weights.data() + b * Type::kBlockSize, row[static_cast<std::size_t>(b)]);
    std::vector<float> decoded(kCount);
    for (int b = 0; b < kBlocks; ++b)
      Type::dequantize(row[static_cast<std::size_t>(b)], decoded.data() + b * Type::kBlockSize);
    long double expected = 0;
    long double absolute = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      expected += static_cast<long double>(decoded[i]) * static_cast<long double>(x[i]);
      absolute += std::fabs(static_cast<long double>(decoded[i]) * static_cast<long double>(x[i]));
    }
    // kCount additions in double, each off by at most 2^-53 of the sum of magnitudes.
    const double bound = kCount * 0x1p-53 * static_cast<double>(absolute);
    EXPECT_NEAR(dot<Type>(row.data(), x.data(), kCount), static_cast<double>(expected), bound);
  });
}

}  // namespace
}  // namespace ingot::quant
