// AMX tiles: eight registers of 16 rows x 64 bytes, and how a thread takes them.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_TILES_INL
#define INGOT_CPU_TILES_INL

#if defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// A tile of f32 is 16 x 16; one of bf16 is 16 x 32, or 16 pairs of rows x 16 as right operand.
inline constexpr std::int64_t kTileRows = 16;
inline constexpr std::int64_t kTilePairs = 16;
inline constexpr std::int64_t kTileColumns = 32;
inline constexpr std::int64_t kTileBytes = 1024;
inline constexpr std::int64_t kTileHalves = kTileBytes / 2;

/// All eight tiles of this thread, whole, while it lives. Given back at the end, so that the system
/// need not save 8 KiB whenever it interrupts the thread later.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) Configuration {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static_assert(sizeof(Configuration) == 64);
    // In memory before main: gcc 12 takes _tile_loadconfig to read 8 bytes, and leaves the stores
    // of the other 56 out where the object is a local one.
    static constexpr Configuration kWhole{};
    _tile_loadconfig(&kWhole);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

/// 32 f32 as bf16, rounded to nearest even.
inline Floats to_bf16(Floats low, Floats high) {
  return (Floats)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
inline void store_bf16(std::uint16_t* to, Floats low, Floats high) {
  const Floats rounded = to_bf16(low, high);
  __builtin_memcpy(to, &rounded, sizeof rounded);
}

/// (to, from): `to`, of which byte n of each lane comes from the same lane of `from`, from where
/// byte n of `which` says, if bit n of kBytes is set. One operation.
template <unsigned kBytes>
class WithBytes {
 public:
  WithBytes(std::int32_t which)
      : from_(Ints{0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12} * 0x01010101 + which) {}
  [[gnu::always_inline]] Ints operator()(Ints to, Ints from) const {
    return (Ints)_mm512_mask_shuffle_epi8((__m512i)to, bytes_, (__m512i)from, (__m512i)from_);
  }

 private:
  Ints from_;
  __mmask64 bytes_ = kBytes * 0x1111111111111111U;
};

/// Lane i: the upper half of low[i] in the low half, that of high[i] in the high one.
class PairUppers {
 public:
  [[gnu::always_inline]] Ints operator()(Floats low, Floats high) const {
    return place_((Ints)high, (Ints)low);
  }

 private:
  WithBytes<0b0011> place_{0x0302};
};

/// Lane i: bf16(low[i]) in the low half, bf16(high[i]) in the high one, rounded to nearest, ties
/// away from zero. NaN must be the common one.
inline Ints pair_bf16(Floats low, Floats high) {
  return PairUppers{}((Floats)((Ints)low + 0x8000), (Floats)((Ints)high + 0x8000));
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__

#endif  // INGOT_CPU_TILES_INL
