// Tests of the CPU loops themselves, each on every target that the machine has.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/matmul.hpp"

namespace ingot::test {

using namespace internal;

class KernelTest : public ::testing::TestWithParam<const cpu::KernelTable*> {
 protected:
  const cpu::KernelTable& table() const { return *GetParam(); }
};

inline std::string target_name(const ::testing::TestParamInfo<const cpu::KernelTable*>& target) {
  return std::string(target.param->name);
}

/// `count` elements between guards that must survive.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t count, T fill = T{})
      : count_(static_cast<std::size_t>(count)), all_(count_ + 2 * kGuards, guard()) {
    for (std::size_t i = 0; i < count_; ++i) data()[i] = fill;
  }
  ~Guarded() {
    for (std::size_t i = 0; i < kGuards; ++i) {
      EXPECT_EQ(all_[i], guard()) << "written before the buffer";
      EXPECT_EQ(all_[kGuards + count_ + i], guard()) << "written behind the buffer";
    }
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return all_.data() + kGuards; }
  T operator[](std::int64_t i) const { return all_[kGuards + static_cast<std::size_t>(i)]; }

 private:
  static constexpr std::size_t kGuards = 64;
  static T guard() { return static_cast<T>(123); }
  std::size_t count_;
  std::vector<T> all_;
};

/// Rows of activations as the loops over integers take them.
struct QuantizedRows {
  QuantizedRows(const cpu::KernelTable& table, const std::vector<float>& x, std::int64_t count,
                std::int64_t columns) {
    for (std::int64_t r = 0; r < count; ++r) {
      memory.emplace_back(cpu::QuantizedRow::floats(columns));
      rows.push_back({memory.back().data(), columns});
      table.quantize_row({.in = x.data() + r * columns, .out = rows.back(), .columns = columns});
    }
  }
  std::vector<std::vector<float>> memory;
  std::vector<cpu::QuantizedRow> rows;
};

inline std::vector<float> random_floats(std::int64_t count, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& x : out) x = distribution(random);
  return out;
}

}  // namespace ingot::test
