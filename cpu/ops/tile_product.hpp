// Arguments of the products on matrix units (tile_product.inl): many rows of activations, rounded
// to bf16, times weights decoded to bf16, summed in f32.
#pragma once

#include <cstdint>

#include "cpu/ops/matmul.hpp"

namespace ingot::cpu {

/// Weight rows of a task: 8 tiles, an even share of a matrix even when that is small.
inline constexpr std::int64_t kTileWeightRows = 128;

/// Activation rows of a task: what its sums are kept for, 256 KiB.
inline constexpr std::int64_t kTileActivationRows = 512;

/// Weight rows and columns decoded at a time: a panel of 32 KiB bf16 stays in the first-level cache
/// while all rows of activations go past it.
inline constexpr std::int64_t kTilePanelRows = 64;
inline constexpr std::int64_t kTilePanelColumns = 256;

/// Activations that lie in tiles: [pair of 16 rows][32 columns][2][16 rows][32 columns] bf16, rows
/// that are missing zero. Halves that `rows` rows take:
constexpr std::int64_t tile_halves(std::int64_t rows, std::int64_t columns) {
  return (rows + 31) / 32 * 32 * columns;
}

/// Fills one pair.
struct PackTiles {
  const float* in = nullptr;
  std::int64_t in_stride = 0;
  const std::int32_t* index = nullptr;  ///< row r is index[r] of `in`; null: r
  std::int64_t rows = 0;                ///< at most 32
  std::int64_t columns = 0;             ///< a multiple of 32
  std::uint16_t* out = nullptr;
};

struct TileProduct {
  WeightRows weight;  ///< at most kTileWeightRows, a multiple of 16
  const std::uint16_t* in = nullptr;
  std::int64_t rows = 0;  ///< at most kTileActivationRows
  const float* bias = nullptr;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* work = nullptr;  ///< kTileWork of the worker, on a cache line
};

/// Floats: sums, a panel, and a decoded stripe of a format in the file's order.
inline constexpr std::int64_t kTileWork = kTileActivationRows * kTileWeightRows +
                                          kTilePanelRows * kTilePanelColumns / 2 +
                                          16 * kTilePanelColumns;

}  // namespace ingot::cpu
