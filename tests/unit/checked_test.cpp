// Arithmetic on sizes: what 64 bits do not hold is said, never wrapped.
#include "src/support/checked.hpp"

#include <gtest/gtest.h>

namespace ingot::internal {
namespace {

constexpr std::uint64_t kTop = std::uint64_t{1} << 63;

TEST(Checked, ProductsAreExactOrAbsent) {
  EXPECT_EQ(try_product(3, 4, 5), 60U);
  EXPECT_EQ(try_product(std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 1), 0xffffffff00000000U);
  EXPECT_EQ(try_product(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt)
      << "2^64 wraps to 0";
  EXPECT_EQ(try_product(std::int64_t{1} << 30, std::int64_t{65536}, std::uint64_t{1} << 18),
            std::nullopt);
  EXPECT_EQ(try_product(kBeyondCounting, 1), kBeyondCounting);
  EXPECT_EQ(try_product(0, kBeyondCounting), 0U);
  EXPECT_EQ(try_product(-1, 5), std::nullopt) << "a negative count is no size";
  EXPECT_EQ(try_product(5, std::int64_t{-1}), std::nullopt);
}

TEST(Checked, SumsAreExactOrAbsent) {
  EXPECT_EQ(try_sum(1, 2, 3), 6U);
  EXPECT_EQ(try_sum(kTop, kTop - 1), kBeyondCounting);
  EXPECT_EQ(try_sum(kTop, kTop), std::nullopt);
  EXPECT_EQ(try_sum(kTop, -1), std::nullopt);
}

TEST(Checked, EstimatesSaturate) {
  EXPECT_EQ(saturating_product(kTop, 2), kBeyondCounting);
  EXPECT_EQ(saturating_product(kTop, 1), kTop);
  EXPECT_EQ(saturating_sum(kBeyondCounting, 1), kBeyondCounting);
  EXPECT_EQ(saturating_sum(1, 1), 2U);
}

TEST(Checked, AllocationsBeyondTheAddressSpaceAreRefusedByName) {
  EXPECT_EQ(allocation_size("a table", 1000, 8), 8000U);
  for (const std::uint64_t factor : {kTop, kBeyondCounting}) {
    try {
      allocation_size("a table", factor, 1);
      ADD_FAILURE() << factor;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
      EXPECT_EQ(std::string(error.what()).rfind("a table would take", 0), 0U) << error.what();
    }
  }
}

}  // namespace
}  // namespace ingot::internal
