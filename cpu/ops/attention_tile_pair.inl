// The products of attention on AMX: two tiles of left operands times one or two of right ones. A
// number is one bf16 or a sum of two, its parts.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_TILE_PAIR_INL)
#define INGOT_CPU_ATTENTION_TILE_PAIR_INL

#include "cpu/targets/tiles.inl"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// 2 x kWidth tiles of sums: two left operands, one or two right ones.
struct TilePair {
  const std::uint16_t* left = nullptr;   ///< [step][2][part]: tiles one behind the other
  const std::uint16_t* right = nullptr;  ///< first tile
  std::int64_t right_next = 0;           ///< to the second tile
  std::int64_t right_step = 0;
  std::int64_t steps = 0;
};

/// Tiles 0 to 3 += left times right, [left][right], of numbers that are kLeft and kRight parts; the
/// product of two rests is left out. `pause` is called after every two products (of which one is
/// left out where there is one right operand). Left operands, which are read once, pass the
/// first-level cache by: it keeps the right ones.
template <int kLeft, int kRight, int kWidth, class Pause>
inline __attribute__((always_inline)) void add_tile_pair(const TilePair& p, Pause&& pause) {
  constexpr std::int64_t kNextLeft = kLeft * kTileHalves;
  const std::uint16_t* left = p.left;
  const std::uint16_t* right = p.right;
  const auto products = [&]() __attribute__((always_inline)) {
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kWidth > 1) _tile_dpbf16ps(1, 4, 7);
    pause();
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kWidth > 1) _tile_dpbf16ps(3, 5, 7);
    pause();
  };
  for (std::int64_t s = 0; s < p.steps; ++s, left += 2 * kNextLeft, right += p.right_step) {
    _tile_loadd(6, right, 64);
    if constexpr (kWidth > 1) _tile_loadd(7, right + p.right_next, 64);
    if constexpr (kLeft == 2) {
      _tile_stream_loadd(4, left + kTileHalves, 64);
      _tile_stream_loadd(5, left + kNextLeft + kTileHalves, 64);
      products();
    }
    _tile_stream_loadd(4, left, 64);
    _tile_stream_loadd(5, left + kNextLeft, 64);
    products();
    if constexpr (kRight == 2) {
      _tile_loadd(6, right + kTileHalves, 64);
      if constexpr (kWidth > 1) _tile_loadd(7, right + p.right_next + kTileHalves, 64);
      products();
    }
  }
}

/// How often that calls `pause` in a step.
constexpr std::int64_t pauses(int left, int right) {
  return 2 * (left + right - 1);
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
