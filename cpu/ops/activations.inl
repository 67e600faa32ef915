// How activations rounded to 16 bits lie in QuantizedRow::q, and how they are multiplied with
// codes.
//
// Many rows have them as integers of 16 bits in their order. So have few, but with byte products
// (VNNI) 32 columns are 32 high bytes, then 32 low bytes, both signed, so that x = 256 * high +
// low: two byte products of four columns each do the work of the two 16-bit products of two
// columns, and codes need not be widened. Within four columns they are in the order of the
// interleaved weights (packed.hpp).
#include "cpu/ops/matmul.hpp"
#include "cpu/quant/packed.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_ACTIVATIONS_INL
#define INGOT_CPU_ACTIVATIONS_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Vectors of f32 or of integers that 32 columns are.
inline constexpr int kBlockVectors = static_cast<int>(kActivationBlock) / kLanes;

/// Integers of 16 bits, column after column.
struct ColumnOrder {
  static void store(const Ints (&x)[kBlockVectors], std::int16_t* q) {
    for (int v = 0; v < kBlockVectors; ++v) {
      const auto narrow = __builtin_convertvector(x[v], HalfShorts);
      __builtin_memcpy(q + v * kLanes, &narrow, sizeof narrow);
    }
  }
};

#if defined(__AVX512VNNI__)

inline constexpr bool kSplitsActivations = true;

/// Four columns in the order of packed.hpp, in every lane of four bytes.
inline __m128i in_lane_order(__m128i bytes) {
  return _mm_shuffle_epi8(bytes,
                          _mm_set_epi8(15, 13, 14, 12, 11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0));
}

struct ByteOrder {
  static void store(const Ints (&x)[kBlockVectors], std::int16_t* q) {
    for (int v = 0; v < kBlockVectors; ++v) {
      auto* high = reinterpret_cast<__m128i*>(q) + v;
      const auto low_bytes = _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)x[v]);
      const auto high_bytes = _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)((x[v] + 128) >> 8));
      _mm_storeu_si128(high, in_lane_order(high_bytes));
      _mm_storeu_si128(high + 2, in_lane_order(low_bytes));
    }
  }
};
typedef ByteOrder FewRowsOrder;

/// The sums of products of unsigned codes with one row's activations, a weight row per lane.
class LaneSums {
 public:
  void subtract(std::int32_t x) { low_ -= x; }

  /// Codes of the columns 4 * kAt.. of `q`'s 32.
  template <int kAt>
  void add(Bytes codes, const std::int16_t* q) {
    const auto* bytes = reinterpret_cast<const std::int8_t*>(q) + 4 * kAt;
    high_ = add_byte_products(high_, codes, (Bytes)broadcast_word(bytes));
    low_ = add_byte_products(low_, codes, (Bytes)broadcast_word(bytes + kActivationBlock));
  }

  Ints total() const { return (high_ << 8) + low_; }

 private:
  Ints high_ = {};
  Ints low_ = {};
};

#else

inline constexpr bool kSplitsActivations = false;

typedef ColumnOrder FewRowsOrder;

class LaneSums {
 public:
  void subtract(std::int32_t x) { sums_ -= x; }

  template <int kAt>
  void add(Bytes codes, const std::int16_t* q) {
    const auto even = (Shorts)((UnsignedShorts)codes & 0x00ff);
    const auto odd = (Shorts)((UnsignedShorts)codes >> 8);
    add_pair_products(sums_, even, (Shorts)broadcast_word(q + 4 * kAt));
    add_pair_products(sums_, odd, (Shorts)broadcast_word(q + 4 * kAt + 2));
  }

  Ints total() const { return sums_; }

 private:
  Ints sums_ = {};
};

#endif

/// 32 signed bytes of a weight as vectors of 16 bits, in the order of load_activations.
inline void load_weights(const std::int8_t* bytes, Shorts (&out)[kParts]) {
#if defined(__AVX512VNNI__)
  const auto* halves = reinterpret_cast<const __m128i*>(bytes);
  const __m256i both = _mm256_set_m128i(in_lane_order(_mm_loadu_si128(halves + 1)),
                                        in_lane_order(_mm_loadu_si128(halves)));
  out[0] = (Shorts)_mm512_maskz_cvtepi8_epi16(0xffffffff, both);
#else
  for (int p = 0; p < kParts; ++p) out[p] = load_bytes(bytes + p * kVectorBytes / 2);
#endif
}

/// The activations of 32 columns, vector `part` of them.
inline Shorts load_activations(const std::int16_t* q, int part) {
#if defined(__AVX512VNNI__)
  (void)part;
  const auto* halves = reinterpret_cast<const __m256i*>(q);
  const auto high = (Shorts)_mm512_maskz_cvtepi8_epi16(0xffffffff, _mm256_loadu_si256(halves));
  const auto low = (Shorts)_mm512_maskz_cvtepi8_epi16(0xffffffff, _mm256_loadu_si256(halves + 1));
  return (high << 8) + low;
#else
  return load_shorts(q + part * kVectorBytes / 2);
#endif
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ACTIVATIONS_INL
