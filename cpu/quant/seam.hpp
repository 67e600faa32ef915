// What a storage type gives the loops, and nothing else: how to bring its blocks into this
// processor's order (`pack`), how to read them as integers with scales (`lanes`, for few rows) and
// as f32 (`panel`, for many rows). Loops hold a FormatKernels and never name a format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/dtype.hpp"
#include "ingot/quant/formats.hpp"

namespace ingot::internal::cpu {

struct FormatKernels {
  DType type = DType::F32;
  std::int64_t block_size = 1;   ///< columns per block
  std::int64_t block_bytes = 1;  ///< bytes per block

  /// Decodes `columns` columns of one row from a block border to f32. `columns` is a multiple of
  /// the block size.
  void (*panel)(const std::byte* row, std::int64_t columns, float* out) = nullptr;

  /// Reads the groups [first, first + count) of 32 columns of one row as integers, scales and mins;
  /// counted from a block border. Null for types that are not integers times a scale.
  void (*lanes)(const std::byte* row, std::int64_t first, std::int64_t count,
                quant::Lanes32* out) = nullptr;

  /// Whether lanes ever set a min other than 0.
  bool has_min = false;

  /// Interleaves 16 rows of `row_bytes` bytes each (packed.hpp), and gives back one of them. Null:
  /// the file's order is used where it lies.
  void (*pack)(const std::byte* rows, std::int64_t row_bytes, std::byte* out) = nullptr;
  void (*unpack_row)(const std::byte* rows, std::int64_t row_bytes, int row,
                     std::byte* out) = nullptr;
};

}  // namespace ingot::internal::cpu
