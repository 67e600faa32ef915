// The order in which the tuned formats lie in memory on the CPU: 16 rows interleaved.
//
// Vectors hold one row per 32-bit lane, so a product needs no sum over lanes, and every load is of
// consecutive bytes. Sixteen rows of one block of a format become
//
//   | header: each field of the block (scale, min, packed sub-block scales), [field byte][16 rows]
//   | | 32 columns | 32 columns | ...
//
// where 32 columns of 16 rows are chunks of 64 bytes, a chunk [16 rows][4 columns]:
//
//   codes of kLow bits   (2, 4 or 8) chunk i = 0..kLow - 1: columns 4i.. in the lowest kLow bits,
//                        4(i + kLow).. in the next, and so on;
//   and kHigh more       behind them chunks of the bits above: the byte of a lane holds those of
//                        8 / kHigh chunks' columns from the lowest bits up
//
// Within a lane the columns are in the order 0 2 1 3: the even bytes are then two neighbours as
// 16-bit integers, and so are the odd ones, one shift away.
//
// The same bits in the same number of bytes: a group of 16 rows takes the place that its rows had
// in the file. Rows beyond the last whole group, and formats without a Packed<Format>, keep the
// file's order.
#pragma once

#include <cstdint>

namespace ingot::internal::cpu {

/// Rows that lie interleaved.
inline constexpr std::int64_t kGroupRows = 16;

/// Columns of a group: a pass of the loops.
inline constexpr std::int64_t kGroupColumns = 32;

/// Column of byte `byte` of a lane, 0..3: in the order 0 2 1 3. Always inlined, because a symbol
/// would be shared by all targets.
inline __attribute__((always_inline)) constexpr int byte_column(int byte) {
  return (byte & 1) << 1 | byte >> 1;
}

}  // namespace ingot::internal::cpu
