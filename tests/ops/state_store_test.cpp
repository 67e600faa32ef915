// StateStore: broken by a row in the wrong page, slot or head, or by a rounding that differs from
// the reference's in a single bit.
#include <gtest/gtest.h>

#include <cmath>

#include "src/device/registry.hpp"
#include "tests/support/cache_types.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {
namespace {

void expect_same_pages(OpCase& c, const ops::StateStore& op) {
  const auto expected = c.pages_after(find_device("reference"), op);
  for (const Device* device : devices_under_test()) {
    EXPECT_TRUE(c.pages_after(*device, op) == expected) << device->info().name;
  }
}

TEST(StateStoreTest, StoresTheReferencesBits) {
  for (const DType type : kCacheTypes) {
    // Head sizes that are whole blocks and ones that are padded; steps that end at, before and
    // behind a page's border; three sequences.
    for (const std::int64_t size : {32, 64, 80, 7}) {
      for (const std::int64_t rows : {1, 63, 64, 65}) {
        SCOPED_TRACE(std::string(to_string(type)) + ", head size " + std::to_string(size) +
                     ", rows " + std::to_string(rows));
        OpCase c({{0, rows}, {62, 3}, {64, 1}});
        c.types = {type, type};
        const StateId state = c.state(3, size, size + 1);
        expect_same_pages(c, {c.input(3 * size), c.input(3 * (size + 1), 1e-3), state});
      }
    }
  }
}

TEST(StateStoreTest, KeepsTypesOfKeysAndValuesApart) {
  for (const DType key : kCacheTypes) {
    for (const DType value : kCacheTypes) {
      OpCase c({{0, 5}});
      c.types = {key, value};
      const StateId state = c.state(2, 40, 24);
      expect_same_pages(c, {c.input(80), c.input(48), state});
    }
  }
}

TEST(StateStoreTest, SaturatesWhatAnF16CannotHold) {
  for (const DType type : kCacheTypes) {
    OpCase c({{0, 1}});
    c.types = {type, type};
    std::vector<float> x(32, 1.0F);
    x[3] = 1e30F;
    x[4] = -INFINITY;
    x[5] = 70000.0F;
    const StateId state = c.state(1, 32, 32);
    expect_same_pages(c, {c.input_of(32, x), c.input_of(32, x), state});
  }
}

}  // namespace
}  // namespace ingot::test
