// Activations rounded to 16 bits, as the CPU loops make them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/matmul.hpp"
#include "tests/support/kernel_test.hpp"

namespace ingot::internal::cpu {
namespace {

using test::Guarded;
using test::random_floats;

class CpuActivations : public test::KernelTest {
 protected:
  // The integers of a row, whichever way the target keeps them (activations.inl).
  std::vector<int> integers(const QuantizedRow& row) const {
    std::vector<int> out;
    const auto* bytes = reinterpret_cast<const std::int8_t*>(row.q());
    for (std::int64_t k = 0; k < row.columns; ++k) {
      const std::int64_t at = 2 * (k / 32 * 32) + k % 32 / 4 * 4 + (k % 2 * 2 + k % 4 / 2);
      out.push_back(table().splits_activations ? 256 * bytes[at] + bytes[at + 32] : row.q()[k]);
    }
    return out;
  }
};

TEST_P(CpuActivations, AreWithinHalfAStepAndClamped) {
  for (const std::int64_t columns : {32, 64, 320}) {
    auto x = random_floats(columns);
    x[5] = 100.0F;
    x[6] = -100.0F;
    Guarded<float> memory(QuantizedRow::floats(columns));
    const QuantizedRow row{memory.data(), columns};
    table().quantize_row({.in = x.data(), .out = row, .columns = row.columns});
    const auto q = integers(row);
    const float* scales = row.scales();
    for (std::int64_t i = 0; i < columns; ++i) {
      const double scale = scales[i / 32];
      EXPECT_LE(std::abs(q[i]), kLargestActivation);
      EXPECT_LE(std::abs(scale * q[i] - static_cast<double>(x[static_cast<std::size_t>(i)])),
                scale * (0.5 + std::pow(2.0, -7)));
    }
    for (std::int64_t s = 0; s < columns / 16; ++s) {
      int sum = 0;
      for (std::int64_t i = 16 * s; i < 16 * s + 16; ++i) sum += q[i];
      EXPECT_EQ(row.sums()[s], sum);
    }
    for (std::int64_t b = 0; b < columns / 32; ++b) {
      const auto sum = static_cast<float>(row.sums()[2 * b] + row.sums()[2 * b + 1]);
      EXPECT_EQ(row.scaled_sums()[b], scales[b] * sum);
    }
  }
}

TEST_P(CpuActivations, RoundTiesToEven) {
  std::vector<float> x(32, 0.0F);
  const float ties[] = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F};
  std::copy(std::begin(ties), std::end(ties), x.begin());
  x[31] = kLargestActivation;  // scale 1
  std::vector<float> memory(QuantizedRow::floats(32));
  const QuantizedRow row{memory.data(), 32};
  table().quantize_row({.in = x.data(), .out = row, .columns = row.columns});
  EXPECT_EQ(row.scales()[0], 1.0F);
  const std::int16_t expected[] = {0, 2, 2, 0, -2, -2};
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(integers(row)[i], expected[i]) << x[static_cast<std::size_t>(i)];
}

TEST_P(CpuActivations, BlocksThatCannotBeScaled) {
  std::vector<float> x(96, 1.0F);
  std::fill(x.begin(), x.begin() + 32, 1e-37F);  // kLargestActivation / x overflows
  x[40] = INFINITY;
  x[80] = std::nanf("");
  std::vector<float> memory(QuantizedRow::floats(96));
  const QuantizedRow row{memory.data(), 96};
  table().quantize_row({.in = x.data(), .out = row, .columns = row.columns});
  const float* scales = row.scales();
  EXPECT_EQ(scales[0], 0.0F);
  EXPECT_TRUE(std::isnan(scales[1]));
  EXPECT_TRUE(std::isnan(scales[2]));
}

// What panels multiply: the bits of a plain loop, also where a row is made in pieces.
TEST_P(CpuActivations, InTheOrderOfTheirColumnsAreThoseOfAPlainLoop) {
  for (const std::int64_t columns : {32, 96, 320}) {
    auto x = random_floats(columns);
    x[5] = 100.0F;
    x[6] = -100.0F;
    if (columns == 320) {
      std::fill(x.begin() + 32, x.begin() + 64, 0.0F);
      std::fill(x.begin() + 64, x.begin() + 96, 1e-37F);  // kLargestActivation / x overflows
      x[100] = -INFINITY;
      x[140] = std::nanf("");
    }
    Guarded<float> memory(QuantizedRow::floats(columns));
    const QuantizedRow row{memory.data(), columns};
    const std::int64_t middle = columns / 64 * 32;
    for (const auto& [from, to] : {std::pair{middle, columns}, {std::int64_t{0}, middle}}) {
      table().quantize_in_order(
          {.in = x.data() + from, .out = row, .first_column = from, .columns = to - from});
    }
    for (std::int64_t b = 0; b < columns / 32; ++b) {
      SCOPED_TRACE("block " + std::to_string(b) + " of " + std::to_string(columns) + " columns");
      const float* in = x.data() + 32 * b;
      float largest = 0;
      bool is_finite = true;
      for (int i = 0; i < 32; ++i) {
        largest = std::max(largest, std::abs(in[i]));
        is_finite = is_finite && std::isfinite(in[i]);
      }
      const bool is_usable = is_finite && largest >= std::ldexp(1.0F, -111);
      const float inverse = is_usable ? kLargestActivation / largest : 0.0F;
      int sums[2] = {};
      for (int i = 0; i < 32; ++i) {
        int q = is_usable ? static_cast<int>(std::nearbyint(in[i] * inverse)) : 0;
        q = std::clamp(q, -kLargestActivation, kLargestActivation);
        EXPECT_EQ(row.q()[32 * b + i], q) << i;
        sums[i / 16] += q;
      }
      EXPECT_EQ(row.sums()[2 * b], sums[0]);
      EXPECT_EQ(row.sums()[2 * b + 1], sums[1]);
      if (!is_finite) {
        EXPECT_TRUE(std::isnan(row.scales()[b]));
        EXPECT_TRUE(std::isnan(row.scaled_sums()[b]));
        continue;
      }
      const float scale = is_usable ? largest / kLargestActivation : 0.0F;
      EXPECT_EQ(row.scales()[b], scale);
      EXPECT_EQ(row.scaled_sums()[b], scale * static_cast<float>(sums[0] + sums[1]));
    }
  }
}

// Else what is prepared for few rows would not do for panels (ExpertMatMul).
TEST_P(CpuActivations, OfFewRowsAndOfManyAreTheSameUnlessTheyAreSplit) {
  EXPECT_EQ(table().quantize_row == table().quantize_in_order, !table().splits_activations);
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuActivations, ::testing::ValuesIn(available_targets()),
                         test::target_name);

}  // namespace
}  // namespace ingot::internal::cpu
