// Arguments of the products on matrix units (tile_product.inl): many rows of activations, rounded
// to bf16, times weights decoded to bf16, summed in f32.
#pragma once

#include <cstdint>

#include "cpu/ops/elementwise.hpp"
#include "cpu/ops/matmul.hpp"

namespace ingot::internal::cpu {

/// Weight rows and activation rows of a task. Its activations are read again for every 32 weight
/// rows: 256 rows of a slab are 256 KiB, which the second-level cache keeps. Neighbouring tasks may
/// be one product: only its first stripe is decoded, and only its last results are written, beside
/// nothing else.
inline constexpr std::int64_t kTileWeightRows = 256;
inline constexpr std::int64_t kTileActivationRows = 256;

/// Activations that the second-level cache keeps beside sums and weights.
inline constexpr std::int64_t kKeptBytes = 1 << 20;

/// Whether it keeps all of a task's.
constexpr bool keeps_activations(std::int64_t rows, std::int64_t columns) {
  return rows * columns * 2 <= kKeptBytes;
}

/// Weight rows decoded at a time: a stripe.
inline constexpr std::int64_t kStripeRows = 32;

/// Weight rows of a slab, at most. Their sums, 512 KiB of 256 activation rows, stay in the
/// second-level cache beside the activations of a slab, which are read from memory once for them.
inline constexpr std::int64_t kSlabRows = 512;

/// Columns of a stripe, at most: of a slab. As bf16 a stripe is 32 KiB, which the first-level cache
/// keeps.
inline constexpr std::int64_t kSlabColumns = 512;

/// Columns that a format in the file's order decodes at a time.
inline constexpr std::int64_t kFileColumns = 256;

/// Activations that lie in tiles: [16 rows][32 columns][16 rows][32 columns] bf16. Rows that are
/// missing are multiplied as well, and nobody reads their results. Halves that `rows` rows take:
constexpr std::int64_t tile_halves(std::int64_t rows, std::int64_t columns) {
  return (rows + 15) / 16 * 16 * columns;
}

/// Where in such tiles the 32 columns from `column` on of a row lie, in halves.
constexpr std::int64_t tile_offset(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return row / 16 * 16 * columns + column * 16 + row % 16 * 32;
}

/// Fills one tile per 32 columns.
struct PackTiles {
  const float* in = nullptr;
  std::int64_t in_stride = 0;
  const std::int32_t* index = nullptr;  ///< row r is index[r] of `in`; null: r
  std::int64_t rows = 0;                ///< at most 16
  std::int64_t columns = 0;             ///< a multiple of 32
  std::uint16_t* out = nullptr;
};

/// A second weight `up` beside the first: what is written is glu of the two products, as tiles for
/// the next one.
struct TileGlu {
  const std::byte* up = nullptr;   ///< of the first weight's shape and format; null: no glu
  const float* up_bias = nullptr;  ///< [weight.rows] or null
  ops::ActivationKind kind = {};
  float limit = 0;               ///< 0: none
  std::uint16_t* out = nullptr;  ///< instead of TileProduct::out: the task's first tile
  std::int64_t out_columns = 0;  ///< of the next product, a multiple of 32 as weight.rows is here
};

struct TileProduct {
  WeightRows weight;  ///< any multiple of 16 rows
  TileGlu glu;
  const std::uint16_t* in = nullptr;
  std::int64_t rows = 0;  ///< at most kTileActivationRows
  const float* bias = nullptr;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  bool reused = false;    ///< `out` is read by this task's caller, from the cache
  float* work = nullptr;  ///< kTileWorkFloats of the worker, on a cache line
};

/// Floats: sums between slabs, a stripe of bf16, columns of a format in the file's order, twice
/// 32 x 32 finished sums, gated columns that wait for their neighbours, a tile that nobody reads.
inline constexpr std::int64_t kTileWorkFloats = kTileActivationRows * kSlabRows +
                                                kStripeRows * kSlabColumns / 2 + 16 * kFileColumns +
                                                2 * 1024 + kTileActivationRows * 16 + 256;

}  // namespace ingot::internal::cpu
