// Many rows on AMX. Panels of weights are decoded to bf16 into the first-level cache, each for all
// rows of the task; activations lie in tiles already. Sums leave the tiles once per panel.
#include "cpu/ops/tile_product.hpp"
#include "cpu/quant/packed.inl"
#include "cpu/targets/tiles.inl"

#if defined(__AMX_BF16__)

namespace ingot::cpu::INGOT_CPU_TARGET {

inline void pack_tiles(const PackTiles& task) {
  for (std::int64_t m = 0; m < 32; ++m) {
    std::uint16_t* to = task.out + m / 16 * kTileHalves + m % 16 * kTileColumns;
    if (m >= task.rows) {
      for (std::int64_t k = 0; k < task.columns; k += 32)
        __builtin_memset(to + k / 32 * 2 * kTileHalves, 0, 64);
      continue;
    }
    const float* from = task.in + (task.index == nullptr ? m : task.index[m]) * task.in_stride;
    for (std::int64_t k = 0; k < task.columns; k += 32)
      store_bf16(to + k / 32 * 2 * kTileHalves, load(from + k), load(from + k + 16));
  }
}

/// 16 interleaved rows, `tiles` times 32 columns from column 32 * first on, as right operands.
template <class P>
inline void decode_packed_tiles(const WeightRows& rows, std::int64_t first, std::int64_t tiles,
                                float*, std::uint16_t* out) {
  constexpr int kGroups = P::kBlockColumns / 32;
  constexpr int kSpans = 32 / P::kScaleSpan;
  // A code below a power of two's last mantissa bits is the float 256 + code, without a conversion.
  constexpr std::int32_t kMantissa = 0xff << 15;
  constexpr std::int32_t kExponent = 0x43800000;
  const std::byte* block = rows.first + first / kGroups * packed_block_bytes<P>();
  for (std::int64_t t = 0; t < tiles; t += kGroups, block += packed_block_bytes<P>()) {
    const typename P::Scales scales(block, 0);
    for (int g = 0; g < kGroups; ++g, out += kTileHalves) {
      const std::byte* group = packed_group<P>(block, g);
      unrolled<kSpans>([&](auto span) __attribute__((always_inline)) {
        constexpr int kSpan = decltype(span)::kValue;
        const Floats scale = scales.template scale<kSpan>(g);
        const Floats shift =
            scale * static_cast<float>(256 + P::kOffset) + scales.template min<kSpan>(g);
        unrolled<8 / kSpans>([&](auto number) __attribute__((always_inline)) {
          constexpr int j = kSpan * 8 / kSpans + decltype(number)::kValue;
          const auto codes = (__m512i)P::template code<j>(group, 0);
          const auto weight = [&](__m512i placed) __attribute__((always_inline)) {
            const auto bits = (Ints)placed & kMantissa;
            return (Floats)(bits | kExponent) * scale - shift;
          };
          const Ints pair0 =
              pair_bf16(weight(_mm512_slli_epi32(codes, 15)), weight(_mm512_srli_epi32(codes, 1)));
          const Ints pair1 =
              pair_bf16(weight(_mm512_slli_epi32(codes, 7)), weight(_mm512_srli_epi32(codes, 9)));
          __builtin_memcpy(out + 2 * j * 32, &pair0, sizeof pair0);
          __builtin_memcpy(out + (2 * j + 1) * 32, &pair1, sizeof pair1);
        });
      });
    }
  }
}

/// The same of 16 rows in the file's order, by way of f32 rows.
inline void decode_file_tiles(const WeightRows& rows, std::int64_t first, std::int64_t tiles,
                              float* stripe, std::uint16_t* out) {
  const std::int64_t columns = 32 * tiles;
  for (std::int64_t n = 0; n < kTileRows; ++n) {
    rows.format->panel(rows.first + n * rows.row_bytes + bytes_of(*rows.format, 32 * first),
                       columns, stripe + n * columns);
  }
  const Ints row_at = Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} *
                      static_cast<std::int32_t>(columns);
  for (std::int64_t k = 0; k < columns; k += 2, out += 32) {
    const auto low = (Floats)_mm512_i32gather_ps((__m512i)row_at, stripe + k, 4);
    const auto high = (Floats)_mm512_i32gather_ps((__m512i)row_at, stripe + k + 1, 4);
    const Floats nan = broadcast(__builtin_nanf(""));
    const Ints pair = pair_bf16(low == low ? low : nan, high == high ? high : nan);
    __builtin_memcpy(out, &pair, sizeof pair);
  }
}

/// kM x kN tiles of sums over `tiles` times 32 columns.
struct TileSums {
  const std::uint16_t* left = nullptr;   ///< a pair of tiles of rows per 32 columns
  const std::uint16_t* right = nullptr;  ///< a tile per 32 columns; the next 16 weight rows behind
  std::int64_t right_stride = 0;         ///< halves from 16 weight rows to the next
  std::int64_t tiles = 0;
  const std::uint16_t* next_left = nullptr;  ///< a tile per pair that will be wanted soon
  const float* before = nullptr;             ///< sums so far; null: zero
  std::int64_t before_row = 0;               ///< floats from row to row: 0 repeats one row, a bias
  std::int64_t before_left = 0;              ///< floats from 16 rows to the next
  std::int64_t before_right = 0;             ///< floats from 16 columns to the next
  float* after = nullptr;
  std::int64_t after_row = 0;
  std::int64_t after_left = 0;
  std::int64_t after_right = 0;
};

template <int kM, int kN>
inline void add_tiles(const TileSums& t) {
  if (t.before == nullptr) {
    _tile_zero(0);
    if constexpr (kN > 1) _tile_zero(1);
    if constexpr (kM > 1) _tile_zero(2);
    if constexpr (kM > 1 && kN > 1) _tile_zero(3);
  } else {
    const auto stride = static_cast<std::size_t>(t.before_row) * sizeof(float);
    _tile_loadd(0, t.before, stride);
    if constexpr (kN > 1) _tile_loadd(1, t.before + t.before_right, stride);
    if constexpr (kM > 1) _tile_loadd(2, t.before + t.before_left, stride);
    if constexpr (kM > 1 && kN > 1)
      _tile_loadd(3, t.before + t.before_left + t.before_right, stride);
  }
  const std::uint16_t* left = t.left;
  const std::uint16_t* right = t.right;
  for (std::int64_t k = 0; k < t.tiles; ++k, left += 2 * kTileHalves, right += kTileHalves) {
    prefetch_lines(t.next_left + 2 * k * kTileHalves, 16);
    _tile_loadd(6, right, 64);
    _tile_loadd(4, left, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kM > 1) {
      _tile_loadd(5, left + kTileHalves, 64);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (kN > 1) {
      _tile_loadd(7, right + t.right_stride, 64);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kM > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  const auto stride = static_cast<std::size_t>(t.after_row) * sizeof(float);
  _tile_stored(0, t.after, stride);
  if constexpr (kN > 1) _tile_stored(1, t.after + t.after_right, stride);
  if constexpr (kM > 1) _tile_stored(2, t.after + t.after_left, stride);
  if constexpr (kM > 1 && kN > 1) _tile_stored(3, t.after + t.after_left + t.after_right, stride);
}

inline void add_tiles(const TileSums& sums, bool two_left, bool two_right) {
  if (two_left) return two_right ? add_tiles<2, 2>(sums) : add_tiles<2, 1>(sums);
  return two_right ? add_tiles<1, 2>(sums) : add_tiles<1, 1>(sums);
}

/// The product of one task; `decode(rows, first, tiles, stripe, out)` makes right operands.
template <class Decode>
inline void multiply_tiles(const TileProduct& task, Decode&& decode) {
  const Tiles tiles;
  constexpr std::int64_t kSumTile = 256;  // floats
  const std::int64_t groups = task.weight.rows / kTileRows;
  const std::int64_t left_tiles = (task.rows + kTileRows - 1) / kTileRows;
  const std::int64_t all_columns = task.weight.columns / kTileColumns;
  float* sums = task.work;
  auto* panel = reinterpret_cast<std::uint16_t*>(sums + kTileActivationRows * kTileWeightRows);
  float* stripe =
      task.work + kTileActivationRows * kTileWeightRows + kTilePanelRows * kTilePanelColumns / 2;
  constexpr std::int64_t kPanelTiles = kTilePanelColumns / kTileColumns;
  constexpr std::int64_t kPanelGroups = kTilePanelRows / kTileRows;
  for (std::int64_t k = 0; k < all_columns; k += kPanelTiles) {
    const std::int64_t columns = all_columns - k < kPanelTiles ? all_columns - k : kPanelTiles;
    const bool is_first = k == 0;
    const bool is_last = k + columns == all_columns;
    for (std::int64_t p = 0; p < groups; p += kPanelGroups) {
      const std::int64_t in_panel = groups - p < kPanelGroups ? groups - p : kPanelGroups;
      for (std::int64_t g = 0; g < in_panel; ++g) {
        WeightRows rows = task.weight;
        rows.first += (p + g) * kTileRows * rows.row_bytes;
        decode(rows, k, columns, stripe, panel + g * kPanelTiles * kTileHalves);
      }
      for (std::int64_t m = 0; m < left_tiles; m += 2) {
        for (std::int64_t g = 0; g < in_panel; g += 2) {
          const bool two_left = m + 1 < left_tiles;
          const bool two_right = g + 1 < in_panel;
          // Sums of this task between panels: [16 weight rows][16 activation rows] tiles.
          float* kept = sums + ((p + g) * left_tiles + m) * kSumTile;
          TileSums t;
          t.left = task.in + m * all_columns * kTileHalves + k * 2 * kTileHalves;
          t.right = panel + g * kPanelTiles * kTileHalves;
          t.right_stride = kPanelTiles * kTileHalves;
          t.tiles = columns;
          t.next_left = t.left + (2 * all_columns + g / 2 % 2) * kTileHalves;
          if (!is_first) {
            t.before = kept;
            t.before_row = 16;
            t.before_left = kSumTile;
            t.before_right = left_tiles * kSumTile;
          } else if (task.bias != nullptr) {
            t.before = task.bias + (p + g) * kTileRows;
            t.before_right = kTileRows;
          }
          const std::int64_t rows_end = (m + (two_left ? 2 : 1)) * kTileRows;
          if (is_last && rows_end <= task.rows) {
            t.after = task.out + m * kTileRows * task.out_stride + (p + g) * kTileRows;
            t.after_row = task.out_stride;
            t.after_left = kTileRows * task.out_stride;
            t.after_right = kTileRows;
          } else {
            t.after = kept;
            t.after_row = 16;
            t.after_left = kSumTile;
            t.after_right = left_tiles * kSumTile;
          }
          add_tiles(t, two_left, two_right);
          if (!is_last || rows_end <= task.rows) continue;
          for (std::int64_t i = m * kTileRows; i < task.rows; ++i) {
            for (std::int64_t j = 0; j < (two_right ? 2 : 1); ++j) {
              const float* from = kept + (i / kTileRows - m) * kSumTile +
                                  j * left_tiles * kSumTile + i % kTileRows * 16;
              store(task.out + i * task.out_stride + (p + g + j) * kTileRows, load(from));
            }
          }
        }
      }
    }
  }
}

template <class P>
inline void multiply_packed_tiles(const TileProduct& task) {
  multiply_tiles(
      task, [](const WeightRows& rows, std::int64_t first, std::int64_t count, float* stripe,
               std::uint16_t* out) { decode_packed_tiles<P>(rows, first, count, stripe, out); });
}

inline void multiply_file_tiles(const TileProduct& task) {
  multiply_tiles(task,
                 [](const WeightRows& rows, std::int64_t first, std::int64_t count, float* stripe,
                    std::uint16_t* out) { decode_file_tiles(rows, first, count, stripe, out); });
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
