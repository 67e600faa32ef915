// Arguments of the MatMul loops (matmul.inl). A MatMul of few rows multiplies integers; one of many
// rows decodes panels of the weights to f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/quant/seam.hpp"

namespace ingot::cpu {

/// Columns that share one scale of a quantized activation row.
inline constexpr std::int64_t kActivationBlock = 32;

/// Up to this many rows are multiplied as integers: reading a weight costs as much as eight integer
/// products, decoding it to f32 as much as sixteen (portable target).
inline constexpr std::int64_t kFewRows = 8;

/// A quantized activation row. x[k] ~ scale[k / 32] * q[k]; the q are held in 16 bits because the
/// portable product of two columns (SSE2 pmaddwd) wants them so.
struct QuantizedRow {
  std::int16_t* q = nullptr;  ///< [columns], within +-127
  float* scales = nullptr;    ///< [columns / 32]
  float* sums = nullptr;      ///< [columns / 16] sum of q over 16 columns: what a min multiplies
};

struct QuantizeRow {
  const float* in = nullptr;  ///< [columns]
  std::int64_t columns = 0;   ///< a multiple of kActivationBlock
  QuantizedRow out;
};

/// Some rows of one weight.
struct WeightRows {
  const std::byte* first = nullptr;  ///< the first row's first column
  std::int64_t row_bytes = 0;        ///< from row to row
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const FormatKernels* format = nullptr;
};

struct FewRows {
  WeightRows weight;
  const QuantizedRow* in = nullptr;  ///< [rows]
  std::int64_t rows = 0;             ///< at most kFewRows
  const float* bias = nullptr;       ///< [weight.rows] or null
  float* out = nullptr;              ///< column 0 of these weight rows
  std::int64_t out_stride = 0;
};

/// Columns and weight rows of a decoded panel: 16 x 512 f32 are 32 KiB and stay in the first-level
/// cache beside the 4 x 512 activations that it is multiplied with.
inline constexpr std::int64_t kPanelColumns = 512;
inline constexpr std::int64_t kPanelRows = 16;

struct ManyRows {
  WeightRows weight;          ///< at most kPanelRows rows
  const float* in = nullptr;  ///< [rows, columns]
  std::int64_t in_stride = 0;
  std::int64_t rows = 0;
  const float* bias = nullptr;  ///< [weight.rows] or null
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* panel = nullptr;  ///< [kPanelRows, kPanelColumns] of the worker
};

}  // namespace ingot::cpu
