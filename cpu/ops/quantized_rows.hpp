// Quantized activation rows in work space, one after the other.
#pragma once

#include "cpu/ops/kernel.hpp"
#include "cpu/ops/matmul.hpp"

namespace ingot::cpu {

/// Floats that one quantized row of `columns` takes: whole cache lines.
constexpr std::int64_t quantized_row_floats(std::int64_t columns) {
  const std::int64_t floats = columns / 2 + columns / 32 + columns / 16;  // q in 16 bits
  return divide_up(floats, 16) * 16;
}

inline QuantizedRow quantized_row_at(float* space, std::int64_t columns, std::int64_t row) {
  float* at = space + row * quantized_row_floats(columns);
  QuantizedRow out;
  out.q = reinterpret_cast<std::int16_t*>(at);
  out.scales = at + columns / 2;
  out.sums = out.scales + columns / 32;
  return out;
}

}  // namespace ingot::cpu
