// The scalar dot product of a stored row: the definition that fast kernels are tested against.
#pragma once

#include <cstdint>

#include "ingot/quant/config.hpp"

namespace ingot::quant {
inline namespace INGOT_QUANT_TARGET {

/// Sum over `count` columns (a multiple of kBlockSize) of decoded row[i] * x[i], accumulated in
/// double.
template <class Type>
double dot(const typename Type::Block* row, const float* x, std::int64_t count) {
  double sum = 0.0;
  float decoded[Type::kBlockSize];
  for (std::int64_t start = 0; start < count; start += Type::kBlockSize) {
    Type::dequantize(*row++, decoded);
    for (int i = 0; i < Type::kBlockSize; ++i)
      sum += static_cast<double>(decoded[i]) * static_cast<double>(x[start + i]);
  }
  return sum;
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
