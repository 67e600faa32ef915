// How a vector of a cache row is read in place: one struct per cache type. Exact, as the codecs of
// quant/ decode.
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "ingot/quant/formats.hpp"

#ifndef INGOT_CPU_CACHE_ROWS_INL
#define INGOT_CPU_CACHE_ROWS_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline float half_at(const std::byte* from) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
#if defined(__F16C__)
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
#else
  return quant::from_f16(bits);
#endif
}

// kLanes integers, widened. gcc 12 scalarizes __builtin_convertvector from bytes, and its plain
// AVX-512 intrinsics make it warn of their own undefined operands; masked ones do not.

inline Ints widen_signed_bytes(const std::byte* from) {
#if defined(__AVX512F__)
  return (Ints)_mm512_maskz_cvtepi8_epi32(0xffff,
                                          _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Ints out;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = static_cast<std::int8_t>(from[lane]);
  return out;
#endif
}

inline Ints widen_bytes(const std::byte* from) {
#if defined(__AVX512F__)
  return (Ints)_mm512_maskz_cvtepu8_epi32(0xffff,
                                          _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Ints out;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = static_cast<std::uint8_t>(from[lane]);
  return out;
#endif
}

inline Ints widen_halves(const std::byte* from) {
#if defined(__AVX512F__)
  return (Ints)_mm512_maskz_cvtepu16_epi32(
      0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  std::uint16_t bits[kLanes];
  __builtin_memcpy(bits, from, sizeof bits);
  Ints out;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = bits[lane];
  return out;
#endif
}

/// Elements that are read together: a block of the quantized types. A vector is a part of a chunk.
inline constexpr int kRowChunk = 32;
inline constexpr int kChunkVectors = kRowChunk / kLanes;

// at(row, chunk, part): elements [kRowChunk * chunk + kLanes * part, ... + kLanes) of a row.
// kBlockBytes: of a chunk with a scale in front, an f16, which multiplies codes(row, chunk, part);
// 0: there are no scales.

struct F32Row {
  static constexpr int kBytes = 4;
  static constexpr int kBlockBytes = 0;
  static Floats at(const std::byte* row, std::int64_t chunk, int part) {
    return load(reinterpret_cast<const float*>(row) + kRowChunk * chunk + kLanes * part);
  }
};

struct F16Row {
  static constexpr int kBytes = 2;
  static constexpr int kBlockBytes = 0;
  static Floats at(const std::byte* row, std::int64_t chunk, int part) {
    const std::byte* from = row + 2 * (kRowChunk * chunk + kLanes * part);
#if defined(__AVX512F__)
    return (Floats)_mm512_maskz_cvtph_ps(
        0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
    return (Floats)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    Floats out;
    for (int lane = 0; lane < kLanes; ++lane) out[lane] = half_at(from + 2 * lane);
    return out;
#endif
  }
};

struct BF16Row {
  static constexpr int kBytes = 2;
  static constexpr int kBlockBytes = 0;
  static Floats at(const std::byte* row, std::int64_t chunk, int part) {
    const Ints wide = widen_halves(row + 2 * (kRowChunk * chunk + kLanes * part));
    return (Floats)(wide << 16);
  }
};

/// What rows of quantized blocks share.
template <class Row, int kBytes>
struct BlockRow {
  static constexpr int kBlockBytes = kBytes;
  static Floats at(const std::byte* row, std::int64_t chunk, int part) {
    return Row::codes(row, chunk, part) * half_at(row + kBytes * chunk);
  }
};

struct Q8Row : BlockRow<Q8Row, 34> {
  static Floats codes(const std::byte* row, std::int64_t chunk, int part) {
    return to_floats(widen_signed_bytes(row + kBlockBytes * chunk + 2 + kLanes * part));
  }
};

struct Q4Row : BlockRow<Q4Row, 18> {
  static Floats codes(const std::byte* row, std::int64_t chunk, int part) {
    // Element j of a block lies in the low half of byte j, or the high one of byte j - 16.
    const Ints wide = widen_bytes(row + kBlockBytes * chunk + 2 + kLanes * part % 16);
    const Ints code = kLanes * part < 16 ? wide & 15 : wide >> 4;
    return to_floats(code - 8);
  }
};

/// out[j]: the scale of a block of row j, of `count` rows; `first` is the block of row 0. Whole
/// vectors are written, those behind the last row with what it has.
template <class Row>
inline void load_scales(const std::byte* first, std::int64_t row_bytes, std::int64_t count,
                        float* out) {
#if defined(__AVX512F__)
  const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (std::int64_t j = 0; j < count; j += kLanes) {
    const Ints last = Ints{} + static_cast<std::int32_t>(count - 1 - j);
    const Ints at = (lane < last ? lane : last) * static_cast<std::int32_t>(row_bytes);
    // Four bytes at each block, of which the scale is the lower half.
    const __m512i words = _mm512_i32gather_epi32((__m512i)at, first + j * row_bytes, 1);
    store(out + j, (Floats)_mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)));
  }
#else
  std::int64_t j = 0;
  for (; j < count; ++j) out[j] = half_at(first + j * row_bytes);
  for (; j % kLanes != 0; ++j) out[j] = out[j - 1];
#endif
}

/// use(Row{}) with the struct of a cache type.
template <class Use>
inline void with_cache_row(DType type, Use&& use) {
  switch (type) {
    case DType::F32: use(F32Row{}); break;
    case DType::F16: use(F16Row{}); break;
    case DType::BF16: use(BF16Row{}); break;
    case DType::Q8_0: use(Q8Row{}); break;
    default: use(Q4Row{}); break;  // the last that a HostPool takes
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_CACHE_ROWS_INL
