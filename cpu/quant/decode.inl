// Reading weights as f32, in whichever order they lie.
#include "cpu/ops/matmul.hpp"
#include "cpu/quant/packed.hpp"
#include "cpu/quant/seam.inl"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_DECODE_INL
#define INGOT_CPU_DECODE_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// The largest block of a format: 512 f32 of one column each, or 256 columns in fewer bytes.
inline constexpr std::int64_t kMostRowBytes = 2048;

/// Decodes columns [k, k + count) of row `row`; both are multiples of the block size, and count at
/// most 512.
inline void decode_columns(const WeightRows& weight, std::int64_t row, std::int64_t k,
                           std::int64_t count, float* out) {
  const FormatKernels& format = *weight.format;
  const std::int64_t offset = bytes_of(format, k);
  if (row >= weight.packed_rows) {
    format.panel(weight.first + row * weight.row_bytes + offset, count, out);
    return;
  }
  // Blocks of 16 rows follow each other, so a range of columns is a range of bytes here too.
  std::byte bytes[kMostRowBytes];
  const std::byte* group = weight.first + row / kGroupRows * kGroupRows * weight.row_bytes;
  format.unpack_row(group + kGroupRows * offset, bytes_of(format, count),
                    static_cast<int>(row % kGroupRows), bytes);
  format.panel(bytes, count, out);
}

/// Decodes a whole row.
inline void decode_row(const WeightRows& weight, std::int64_t row, float* out) {
  constexpr std::int64_t kColumns = 512;
  for (std::int64_t k = 0; k < weight.columns; k += kColumns) {
    const std::int64_t left = weight.columns - k;
    decode_columns(weight, row, k, left < kColumns ? left : kColumns, out + k);
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_DECODE_INL
