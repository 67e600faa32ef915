// Rope's loops against its definition: every number of pairs up to several vectors, both layouts,
// out of place and in place.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/rope.hpp"
#include "tests/support/kernel_test.hpp"

namespace ingot::internal::cpu {
namespace {

using test::Guarded;
using test::random_floats;

constexpr std::int64_t kHeads = 3;
constexpr std::int64_t kOffset = 5;
constexpr std::int64_t kBehind = 2;

class CpuRope : public test::KernelTest {};

// By definition, in double.
std::vector<double> rotated(const RopeHeads& task, const std::vector<float>& x) {
  std::vector<double> y(x.begin(), x.end());
  const std::int64_t pairs = task.rotary_size / 2;
  const bool neighbours = task.layout == ops::RopeLayout::norm;
  for (std::int64_t h = 0; h < task.heads; ++h) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const std::int64_t head = h * task.head_size + task.rotary_offset;
      const auto a = static_cast<std::size_t>(head + (neighbours ? 2 * i : i));
      const std::size_t b = a + static_cast<std::size_t>(neighbours ? 1 : pairs);
      const double c = task.angles[2 * i];
      const double s = task.angles[2 * i + 1];
      y[a] = x[a] * c - x[b] * s;
      y[b] = x[a] * s + x[b] * c;
    }
  }
  return y;
}

TEST_P(CpuRope, TurnsPairsOfEveryCountInBothLayouts) {
  for (const auto layout : {ops::RopeLayout::norm, ops::RopeLayout::neox}) {
    for (std::int64_t pairs = 1; pairs <= 66; ++pairs) {
      const std::int64_t size = kOffset + 2 * pairs + kBehind;
      const auto x = random_floats(kHeads * size);
      const auto angles = random_floats(2 * pairs, 2);
      Guarded<float> out(kHeads * size);
      const RopeHeads task{x.data(),  out.data(), kHeads, size,
                           2 * pairs, kOffset,    layout, angles.data()};
      table().rope(task);
      const auto expected = rotated(task, x);
      Guarded<float> in_place(kHeads * size);
      std::copy(x.begin(), x.end(), in_place.data());
      RopeHeads same = task;
      same.in = same.out = in_place.data();
      table().rope(same);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        ASSERT_NEAR(out[at], expected[i], 1e-6) << pairs << " pairs, " << i;
        ASSERT_EQ(out[at], in_place[at]) << pairs << " pairs, " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuRope, ::testing::ValuesIn(available_targets()),
                         test::target_name);

}  // namespace
}  // namespace ingot::internal::cpu
