// The register-blocked product both MatMul and Attention stand on: a tile of dot products along
// contiguous f32 rows.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_DOT_TILE_INL
#define INGOT_CPU_DOT_TILE_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Rows of the left and right operand per tile. The accumulators, one right vector per column and
/// one left vector must fit the registers: 4 x 6 + 7 of 32 with AVX-512, 4 x 3 + 4 of 16 with FMA.
/// Without FMA each product needs a register of its own and 4 x 3 would spill.
inline constexpr int kTileLeft = 4;
#if defined(__AVX512F__)
inline constexpr int kTileRight = 6;
#elif defined(__FMA__)
inline constexpr int kTileRight = 3;
#else
inline constexpr int kTileRight = 2;
#endif

/// out(i, j) = sum over k of left[i][k] * right[j][k]. Each of the kLanes running sums takes every
/// kLanes-th product; then the lanes are added, then the products of the last, partial vector.
template <int kLeft, int kRight, class Emit>
inline void dot_tile(const float* const (&left)[kLeft], const float* right,
                     std::int64_t right_stride, std::int64_t columns, Emit&& emit) {
  Floats sums[kLeft][kRight] = {};
  std::int64_t k = 0;
  for (; k + kLanes <= columns; k += kLanes) {
    Floats r[kRight];
    for (int j = 0; j < kRight; ++j) r[j] = load(right + j * right_stride + k);
    for (int i = 0; i < kLeft; ++i) {
      const Floats l = load(left[i] + k);
      for (int j = 0; j < kRight; ++j) sums[i][j] += l * r[j];
    }
  }
  for (int i = 0; i < kLeft; ++i) {
    for (int j = 0; j < kRight; ++j) {
      float total = sum(sums[i][j]);
      for (std::int64_t t = k; t < columns; ++t) {
        total += left[i][t] * right[j * right_stride + t];
      }
      emit(i, j, total);
    }
  }
}

/// All pairs of `left_count` x `right_count` rows: emit(i, j, dot product). Row i of the left
/// operand is left(i).
template <class Left, class Emit>
inline void dot_all_rows(Left&& left, std::int64_t left_count, const float* right,
                         std::int64_t right_stride, std::int64_t right_count, std::int64_t columns,
                         Emit&& emit) {
  const auto stripe = [&](auto rows, std::int64_t i0) {
    constexpr int kLeft = decltype(rows)::kValue;
    const float* l[kLeft];
    for (int i = 0; i < kLeft; ++i) l[i] = left(i0 + i);
    std::int64_t j0 = 0;
    for (; j0 + kTileRight <= right_count; j0 += kTileRight) {
      dot_tile<kLeft, kTileRight>(l, right + j0 * right_stride, right_stride, columns,
                                  [&](int i, int j, float value) { emit(i0 + i, j0 + j, value); });
    }
    for (; j0 < right_count; ++j0) {
      dot_tile<kLeft, 1>(l, right + j0 * right_stride, right_stride, columns,
                         [&](int i, int j, float value) { emit(i0 + i, j0 + j, value); });
    }
  };
  std::int64_t i0 = 0;
  for (; i0 + kTileLeft <= left_count; i0 += kTileLeft) stripe(Constant<kTileLeft>{}, i0);
  switch (left_count - i0) {
    case 3: stripe(Constant<3>{}, i0); break;
    case 2: stripe(Constant<2>{}, i0); break;
    case 1: stripe(Constant<1>{}, i0); break;
    default: break;
  }
}

/// The same with rows of the left operand `left_stride` floats apart.
template <class Emit>
inline void dot_all(const float* left, std::int64_t left_stride, std::int64_t left_count,
                    const float* right, std::int64_t right_stride, std::int64_t right_count,
                    std::int64_t columns, Emit&& emit) {
  dot_all_rows([=](std::int64_t i) { return left + i * left_stride; }, left_count, right,
               right_stride, right_count, columns, emit);
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_DOT_TILE_INL
