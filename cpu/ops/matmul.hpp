// Arguments of the loops that multiply activations with weights (matmul.inl, packed_rows.inl;
// tile_product.hpp has those of the matrix units).
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/quant/seam.hpp"

namespace ingot::internal::cpu {

/// Columns that share one scale of a quantized activation row.
inline constexpr std::int64_t kActivationBlock = 32;

/// Up to this many rows are multiplied as integers of 16 bits: reading a weight from memory takes
/// about as long as eight such products.
inline constexpr std::int64_t kFewRows = 8;

/// The largest magnitude of a quantized activation: 127 * 256 + 127, so that it is also two signed
/// bytes, x = 256 * high + low.
inline constexpr int kLargestActivation = 32639;

/// A quantized activation row in one piece of memory: x[k] ~ scales[k / 32] * q[k].
struct QuantizedRow {
  float* first = nullptr;    ///< on a cache line, floats(columns) of them
  std::int64_t columns = 0;  ///< a multiple of kActivationBlock

  /// In the target's own order, activations.inl.
  std::int16_t* q() const { return reinterpret_cast<std::int16_t*>(first); }
  float* scales() const { return first + scales_at(columns); }
  /// [columns / 16] sums of q over 16 columns: what a min multiplies.
  std::int32_t* sums() const { return reinterpret_cast<std::int32_t*>(first + sums_at(columns)); }
  float* scaled_sums() const { return first + scaled_sums_at(columns); }  ///< scale * sum over 32

  static constexpr std::int64_t scales_at(std::int64_t columns) { return columns / 2; }
  static constexpr std::int64_t sums_at(std::int64_t columns) {
    return scales_at(columns) + columns / 32;
  }
  static constexpr std::int64_t scaled_sums_at(std::int64_t columns) {
    return sums_at(columns) + columns / 16;
  }
  static constexpr std::int64_t floats(std::int64_t columns) {
    return (scaled_sums_at(columns) + columns / 32 + 15) / 16 * 16;
  }
};

/// `columns` columns of a row, from `first_column` on; both are multiples of kActivationBlock.
struct QuantizeRow {
  const float* in = nullptr;  ///< from the first of these columns
  QuantizedRow out;           ///< the whole row
  std::int64_t first_column = 0;
  std::int64_t columns = 0;
};

/// Some rows of one weight.
struct WeightRows {
  const std::byte* first = nullptr;  ///< the first row's first column
  std::int64_t row_bytes = 0;        ///< from row to row
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t packed_rows = 0;  ///< the first rows, a multiple of 16, lie interleaved (packed.hpp)
  const FormatKernels* format = nullptr;
};

/// A few quantized activation rows times some rows of a weight.
struct FewRows {
  WeightRows weight;
  const QuantizedRow* in = nullptr;  ///< [rows]
  std::int64_t rows = 0;             ///< at most kFewRows
  const float* bias = nullptr;       ///< [weight.rows] or null
  float* out = nullptr;              ///< column 0 of these weight rows
  std::int64_t out_stride = 0;
  bool reused = false;  ///< `out` is read by the caller, from the cache
};

/// Activations as they lie in memory.
struct ActivationRows {
  const float* first = nullptr;
  std::int64_t stride = 0;
  const std::int32_t* index = nullptr;  ///< row r is index[r] of them; null: r
  std::int64_t count = 0;
  std::int64_t columns = 0;

  const float* row(std::int64_t r) const {
    return first + (index == nullptr ? r : index[r]) * stride;
  }
};

/// Columns and weight rows of a decoded panel: 16 x 512 f32 are 32 KiB and stay in the first-level
/// cache beside the 4 x 512 activations that it is multiplied with.
inline constexpr std::int64_t kPanelColumns = 512;
inline constexpr std::int64_t kPanelRows = 16;

struct ManyRows {
  WeightRows weight;  ///< at most kPanelRows rows, all interleaved or none (few_floats: any number)
  ActivationRows in;
  std::int64_t first_row = 0;  ///< of `in`
  std::int64_t rows = 0;
  const float* bias = nullptr;  ///< [weight.rows] or null
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* panel = nullptr;  ///< [kPanelRows, kPanelColumns] of the worker
};

}  // namespace ingot::internal::cpu
