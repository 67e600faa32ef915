// The sampler's random numbers: the same seed gives the same numbers with every compiler and
// standard library (those of <random>'s distributions differ between libraries).
#pragma once

#include <cstdint>

namespace ingot {

/// PCG32 (XSH-RR 64/32) of M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically
/// Good Algorithms for Random Number Generation", HMC-CS-2014-0905. Checked against the published
/// demo's output in tests/unit/sampler_random_test.cpp.
class Pcg32 {
 public:
  explicit constexpr Pcg32(std::uint64_t seed, std::uint64_t stream = 54)
      : increment_((stream << 1U) | 1U) {
    next();
    state_ += seed;
    next();
  }

  /// 32 uniform bits.
  constexpr std::uint32_t next() {
    const std::uint64_t old = state_;
    state_ = old * 6364136223846793005ULL + increment_;
    const auto shifted = static_cast<std::uint32_t>(((old >> 18U) ^ old) >> 27U);
    const auto turn = static_cast<std::uint32_t>(old >> 59U);
    return (shifted >> turn) | (shifted << ((32U - turn) & 31U));
  }

  /// Uniform in [0, 1), a multiple of 2^-53.
  constexpr double uniform() {
    const std::uint64_t high = next() >> 5U;  // 27 bits
    const std::uint64_t low = next() >> 6U;   // 26 bits
    return static_cast<double>((high << 26U) | low) * 0x1p-53;
  }

 private:
  std::uint64_t state_ = 0;
  std::uint64_t increment_;
};

}  // namespace ingot
