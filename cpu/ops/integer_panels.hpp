// Arguments of the products of many rows where there are no matrix units (integer_panels.inl):
// activations rounded to 16 bits times weights decoded to integers of 16 bits.
#pragma once

#include <cstdint>

#include "cpu/ops/matmul.hpp"

namespace ingot::internal::cpu {

/// Weight rows and columns that are decoded at a time: 16 KiB, which stay in the first-level cache.
inline constexpr std::int64_t kIntegerPanelRows = 32;
inline constexpr std::int64_t kIntegerPanelColumns = 256;

/// Activation rows of a task. Decoding a weight costs about as much as four products with it, and
/// 256 rows of 2,048 columns stay in the second-level cache for all weight rows.
inline constexpr std::int64_t kIntegerPanelActivations = 256;

/// Activation rows that are multiplied together, at most. The last ones may be fewer: what is
/// computed in their place goes to sums that nobody reads.
inline constexpr std::int64_t kMostRowsTogether = 8;

struct IntegerPanelProduct {
  WeightRows weight;  ///< interleaved, a multiple of 16
  /// QuantizedRows in the order of their columns, at most kIntegerPanelActivations of them;
  /// `columns` is not used.
  ActivationRows in;
  const float* bias = nullptr;  ///< [weight.rows] or null
  float* out = nullptr;         ///< first row, first weight row
  std::int64_t out_stride = 0;
  bool reused = false;    ///< `out` is read by this task's caller, from the cache
  float* work = nullptr;  ///< kIntegerPanelWorkFloats of the worker, on a cache line
};

/// Floats: a panel, its scales (per 32 columns) and mins (per 16), and sums between panels.
inline constexpr std::int64_t kIntegerPanelWorkFloats =
    kIntegerPanelRows * (kIntegerPanelColumns / 2 + kIntegerPanelColumns / 32 +
                         kIntegerPanelColumns / 16 + kIntegerPanelActivations + kMostRowsTogether);

}  // namespace ingot::internal::cpu
