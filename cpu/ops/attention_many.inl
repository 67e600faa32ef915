// Attention of many queries on vector units: a tile of keys and values is decoded to f32 once for
// all of them, the keys transposed, so that both products are sums of broadcast times vector.
#include "cpu/ops/attention_work.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#ifndef INGOT_CPU_ATTENTION_MANY_INL
#define INGOT_CPU_ATTENTION_MANY_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Rows and vectors of a block of sums; with a vector per column and one broadcast they fill the
/// registers: 6 x 4 + 5 of 32, or 4 x 2 + 3 of 16.
#if defined(__AVX512F__)
inline constexpr int kOuterRows = 6;
inline constexpr int kOuterVectors = 4;
#else
inline constexpr int kOuterRows = 4;
inline constexpr int kOuterVectors = 2;
#endif

/// out[m][n] (+)= sum over k of left[m][k] * right[k][n].
struct OuterProduct {
  const float* left;
  std::int64_t left_stride;
  const float* right;
  std::int64_t right_stride;
  std::int64_t depth;  ///< k
  float* out;
  std::int64_t out_stride;
  bool adds;
};

template <int kRows, int kVectors>
inline void outer_block(const OuterProduct& p, std::int64_t m, std::int64_t n) {
  const float* left = p.left + m * p.left_stride;
  const float* right = p.right + n;
  float* out = p.out + m * p.out_stride + n;
  Floats sums[kRows][kVectors] = {};
  if (p.adds) {
    for (int i = 0; i < kRows; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] = load(out + i * p.out_stride + v * kLanes);
    }
  }
  for (std::int64_t k = 0; k < p.depth; ++k, right += p.right_stride) {
    Floats vectors[kVectors];
    for (int v = 0; v < kVectors; ++v) vectors[v] = load(right + v * kLanes);
    for (int i = 0; i < kRows; ++i) {
      const float factor = left[i * p.left_stride + k];
      for (int v = 0; v < kVectors; ++v) sums[i][v] += vectors[v] * factor;
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) store(out + i * p.out_stride + v * kLanes, sums[i][v]);
  }
}

template <int kRows>
inline void outer_stripe(const OuterProduct& p, std::int64_t m, std::int64_t columns) {
  std::int64_t n = 0;
  for (; n + kOuterVectors * kLanes <= columns; n += kOuterVectors * kLanes) {
    outer_block<kRows, kOuterVectors>(p, m, n);
  }
  for (; n < columns; n += kLanes) outer_block<kRows, 1>(p, m, n);
}

/// All rows and `columns` columns, a multiple of kLanes.
inline void outer_product(const OuterProduct& p, std::int64_t rows, std::int64_t columns) {
  std::int64_t m = 0;
  for (; m + kOuterRows <= rows; m += kOuterRows) outer_stripe<kOuterRows>(p, m, columns);
  for (; m < rows; ++m) outer_stripe<1>(p, m, columns);
}

/// out[i][j] = element i of key j: [key_stride, kPageTokens].
template <class Row>
inline void transpose_keys(const CacheTile& keys, float* out) {
  for (std::int64_t j = 0; j < keys.count; j += kLanes) {
    for (std::int64_t chunk = 0; chunk < keys.size / kRowChunk; ++chunk) {
      for (int part = 0; part < kChunkVectors; ++part) {
        Floats block[kLanes];
        for (int t = 0; t < kLanes; ++t) block[t] = Row::at(keys.row_within(j + t), chunk, part);
        transpose(block);
        float* to = out + (kRowChunk * chunk + kLanes * part) * kPageTokens + j;
        for (int t = 0; t < kLanes; ++t) store(to + t * kPageTokens, block[t]);
      }
    }
  }
}

class AttendDecoded {
 public:
  AttendDecoded(const Attend& task, const AttentionWork& work) : task_(task), work_(work) {}

  void attend(const TileOfRows& tile) {
    const CacheTile keys = cache_tile(task_.keys, task_.pages, tile.begin, tile.count,
                                      work_.key_stride, work_.key_rows);
    const CacheTile values = cache_tile(task_.values, task_.pages, tile.begin, tile.count,
                                        work_.value_stride, work_.value_rows);
    with_cache_row(keys.type, [&](auto row) { transpose_keys<decltype(row)>(keys, work_.keys); });
    with_cache_row(values.type, [&](auto row) {
      for (std::int64_t j = 0; j < values.count; ++j) {
        float* to = work_.values + j * values.size;
        for (std::int64_t chunk = 0; chunk < values.size / kRowChunk; ++chunk) {
          for (int part = 0; part < kChunkVectors; ++part, to += kLanes) {
            store(to, decltype(row)::at(values.row(j), chunk, part));
          }
        }
      }
    });
    const std::int64_t r0 = tile.first * task_.heads;
    const std::int64_t queries = (tile.end - tile.first) * task_.heads;
    float* weights = work_.weights + r0 * kPageTokens;
    outer_product({.left = work_.queries + r0 * work_.key_stride,
                   .left_stride = work_.key_stride,
                   .right = work_.keys,
                   .right_stride = kPageTokens,
                   .depth = keys.size,
                   .out = weights,
                   .out_stride = kPageTokens,
                   .adds = false},
                  queries, (tile.count + kLanes - 1) / kLanes * kLanes);
    update_rows(task_, work_, tile.first, tile.end, tile.begin, tile.count);
    outer_product({.left = weights,
                   .left_stride = kPageTokens,
                   .right = work_.values,
                   .right_stride = values.size,
                   .depth = tile.count,
                   .out = work_.sums + r0 * work_.value_stride,
                   .out_stride = work_.value_stride,
                   .adds = true},
                  queries, values.size);
  }

 private:
  const Attend& task_;
  const AttentionWork& work_;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ATTENTION_MANY_INL
