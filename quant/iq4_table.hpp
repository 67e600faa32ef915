// The value table of IQ4_NL and IQ4_XS (https://github.com/ggml-org/llama.cpp/pull/5590): 16
// integers, denser around zero as weights are.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

inline constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

/// Nearest table entry, in the shape SymmetricFit asks for.
struct Iq4Grid {
  static constexpr int kLow = -127;
  static std::uint8_t code(float value) {
    int found = 0;
    for (int next = 1; next < 16; ++next)
      found += 2.0f * value > static_cast<float>(kIq4Values[next - 1] + kIq4Values[next]) ? 1 : 0;
    return static_cast<std::uint8_t>(found);
  }
};

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
