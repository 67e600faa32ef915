// Vectors of the target's natural width, in the compilers' common vector extension: the loops are
// written once and become SSE2, AVX2, AVX-512 or NEON by the flags of the translation unit.
#include <cstdint>

#include "cpu/targets/target.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef INGOT_CPU_SIMD_HPP
#define INGOT_CPU_SIMD_HPP

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

/// f32 lanes of a vector.
inline constexpr int kLanes = kVectorBytes / 4;

/// Vectors that 64 bytes are: 16 rows' lanes, 32 integers of 16 bits.
inline constexpr int kParts = 64 / kVectorBytes;

typedef float Floats __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t Ints __attribute__((vector_size(kVectorBytes)));

typedef std::int16_t Shorts __attribute__((vector_size(kVectorBytes)));
typedef std::uint16_t UnsignedShorts __attribute__((vector_size(kVectorBytes)));
typedef std::uint8_t Bytes __attribute__((vector_size(kVectorBytes)));
typedef std::int8_t HalfBytes __attribute__((vector_size(kVectorBytes / 2)));
typedef std::int16_t HalfShorts __attribute__((vector_size(kVectorBytes / 2)));

/// A number as a type, to choose a template by.
template <int kNumber>
struct Constant {
  static constexpr int kValue = kNumber;
};

/// body(Constant<0>), body(Constant<1>) ... : the number is known where it is used, so that shifts
/// by it are immediate.
template <int kCount, int kFrom = 0, class Body>
inline __attribute__((always_inline)) void unrolled(Body&& body) {
  if constexpr (kFrom < kCount) {
    body(Constant<kFrom>{});
    unrolled<kCount, kFrom + 1>(body);
  }
}

inline Floats load(const float* from) {
  Floats v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float* to, Floats v) {
  __builtin_memcpy(to, &v, sizeof v);
}

/// Writes past the caches where `to` lies on a vector; finish_streams() before another thread
/// reads.
inline void stream(float* to, Floats v) {
#if defined(__SSE2__)
  if (reinterpret_cast<std::uintptr_t>(to) % kVectorBytes == 0) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(to, (__m256)v);
#else
    _mm_stream_ps(to, (__m128)v);
#endif
    return;
  }
#endif
  store(to, v);
}

inline void finish_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

inline Floats broadcast(float x) {
  return Floats{} + x;
}

/// The first `count` lanes; the others are zero.
inline Floats load_part(const float* from, std::int64_t count) {
  Floats v = {};
  __builtin_memcpy(&v, from, static_cast<std::size_t>(count) * sizeof(float));
  return v;
}

inline void store_part(float* to, Floats v, std::int64_t count) {
  __builtin_memcpy(to, &v, static_cast<std::size_t>(count) * sizeof(float));
}

/// Halves are added until one lane is left: a fixed order, log2(kLanes) roundings.
inline float sum(Floats v) {
  float lanes[kLanes];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

/// Lane by lane: the larger, or `a` if `b` is NaN.
template <class Vector>
inline Vector larger(Vector a, Vector b) {
  return b > a ? b : a;
}

inline Shorts load_shorts(const std::int16_t* from) {
  Shorts v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

/// As many bytes as a Shorts has lanes, widened in registers: stores of another width in between
/// would have to reach the cache before they can be loaded again.
inline Shorts load_bytes(const std::int8_t* from) {
  HalfBytes v;
  __builtin_memcpy(&v, from, sizeof v);
  return __builtin_convertvector(v, Shorts);
}

/// Nothing, but the additions before it are made before those behind it. GCC adds integers in
/// whichever order: it takes all products of a long sum first and keeps them in memory.
inline void keep_in_order(Ints& sum) {
#if defined(__SSE2__)
  asm("" : "+x"(sum));
#elif defined(__aarch64__)
  asm("" : "+w"(sum));
#else
  (void)sum;
#endif
}

/// Lane i: a[2i] * b[2i] + a[2i + 1] * b[2i + 1], exact.
inline Ints multiply_add_pairs(Shorts a, Shorts b) {
#if defined(__AVX512BW__)
  return (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  Ints out;
  for (int i = 0; i < kLanes; ++i) out[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return out;
#endif
}

/// Adds multiply_add_pairs(a, b).
inline void add_pair_products(Ints& sums, Shorts a, Shorts b) {
#if defined(__AVX512VNNI__)
  sums = (Ints)_mm512_dpwssd_epi32((__m512i)sums, (__m512i)a, (__m512i)b);
#else
  sums += multiply_add_pairs(a, b);
  keep_in_order(sums);
#endif
}

#if defined(__AVX512VNNI__)
/// sums + the products of unsigned with signed bytes, four to a lane.
inline Ints add_byte_products(Ints sums, Bytes codes, Bytes signed_bytes) {
  return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)codes, (__m512i)signed_bytes);
}
#endif

inline Floats to_floats(Ints v) {
  return __builtin_convertvector(v, Floats);
}

template <class Vector>
inline Vector load_as(const void* from) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

/// The same four bytes in every lane.
inline Ints broadcast_word(const void* from) {
  std::int32_t word;
  __builtin_memcpy(&word, from, sizeof word);
  return Ints{} + word;
}

/// kLanes bytes, widened.
inline Ints widen_unsigned(const std::byte* from) {
#if defined(__AVX512F__)
  return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Ints out;
  for (int i = 0; i < kLanes; ++i) out[i] = static_cast<std::uint8_t>(from[i]);
  return out;
#endif
}

inline Ints widen_signed(const std::byte* from) {
#if defined(__AVX512F__)
  return (Ints)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Ints out;
  for (int i = 0; i < kLanes; ++i) out[i] = static_cast<std::int8_t>(from[i]);
  return out;
#endif
}

/// How far ahead of its use a weight is asked for: 18 GB/s and 150 ns to memory are 2.7 KB under
/// way per core. From a page of 4 KiB ahead on the processor's own prefetcher works against it.
inline constexpr std::int64_t kPrefetchBytes = 2816;

/// Brings a cache line nearer; it need not exist. The compiler leaves the instruction where it
/// stands: lines that are asked for evenly, one with each that is read, come faster than four at
/// once.
inline void prefetch_line(const std::byte* at) {
#if defined(__x86_64__)
  asm volatile("prefetcht0 %0" : : "m"(*at));
#else
  __builtin_prefetch(at);
#endif
}

/// The same no further than into the second-level cache.
inline void prefetch_line_later(const void* at) {
#if defined(__x86_64__)
  asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at, 0, 2);
#endif
}

/// The lines of `bytes` from `from` on; they need not exist.
inline void fetch_later(const void* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) {
    prefetch_line_later(static_cast<const char*>(from) + i);
  }
}

/// Of kLines lines from `from` on, those of step kStep of kSteps: as even as it goes.
template <int kLines, int kStep, int kSteps>
inline void prefetch_share(const std::byte* from) {
  for (int i = kLines * kStep / kSteps; i < kLines * (kStep + 1) / kSteps; ++i) {
    prefetch_line(from + 64 * i);
  }
}

/// Brings `lines` cache lines from `from` on nearer; they need not exist.
inline void prefetch_lines(const void* from, int lines) {
  for (int i = 0; i < lines; ++i) __builtin_prefetch(static_cast<const char*>(from) + 64 * i);
}

/// The first half of the lanes `low`, the second `high`.
inline Floats halves(float low, float high) {
  Ints lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < kLanes / 2 ? broadcast(low) : broadcast(high);
}

inline constexpr float kLog2E = 1.44269504F;
inline constexpr float kLn2 = 0.693147181F;

/// e^x within 2^-21 relative for x in [-87.3, 88]; above 88 it stays at e^88, below -87.3 it is 0
/// (e^-87.3 is the smallest normal f32). NaN stays NaN.
///
/// e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2. ln 2 is subtracted in two parts, the
/// first with so few bits that n times it is exact. The series of e^r to r^7 leaves
/// r^8 / 8! < 2^-27.5; rounding of the Horner steps gives the rest.
inline Floats exponential(Floats x) {
  constexpr float kLargest = 88.0F;
  constexpr float kSmallest = -87.3F;
  constexpr float kLn2High = 0.693359375F;    // 355 / 512
  constexpr float kLn2Low = -2.12194440e-4F;  // ln 2 - 355 / 512
  constexpr float kRounder = 12582912.0F;     // 1.5 * 2^23: adding it rounds to an integer
  constexpr std::int32_t kRounderBits = 0x4b400000;
  const Floats clamped = x > broadcast(kLargest) ? broadcast(kLargest) : x;
  const Floats shifted = clamped * kLog2E + kRounder;
  const Floats n = shifted - kRounder;
  const Floats r = (clamped - n * kLn2High) - n * kLn2Low;
  Floats y = broadcast(1.0F / 5040.0F);
  y = y * r + 1.0F / 720.0F;
  y = y * r + 1.0F / 120.0F;
  y = y * r + 1.0F / 24.0F;
  y = y * r + 1.0F / 6.0F;
  y = y * r + 0.5F;
  y = y * r + 1.0F;
  y = y * r + 1.0F;
  const Ints power = ((Ints)shifted - (kRounderBits - 127)) << 23;
  y *= (Floats)power;
  return x < broadcast(kSmallest) ? Floats{} : y;
}

/// One lane of the above.
inline float exponential(float x) {
  return exponential(broadcast(x))[0];
}

/// 2^x within 2^-21 relative for x in [-126, 128); below it is 0, above infinite, and 2^0 is 1. NaN
/// stays NaN.
///
/// 2^x = 2^n 2^r: the polynomial of 2^r is the minimax one but for its last term, which is 1, and
/// with what Horner's steps round it is off by at most 2^-22.7.
inline Floats power_of_two(Floats x) {
  constexpr float kSmallest = -126.0F;
#if defined(__AVX512DQ__)
  // n = floor(x), as scalef takes it. Results that would be denormal take it 60 times as long.
  const Floats r = (Floats)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Floats y = broadcast(1.86713008e-3F);
  y = y * r + 9.01703028e-3F;
  y = y * r + 5.57999131e-2F;
  y = y * r + 2.40164450e-1F;
  y = y * r + 6.93151312e-1F;
  y = y * r + 1.0F;
  const __mmask16 is_normal = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(kSmallest), _CMP_NLT_UQ);
  return (Floats)_mm512_maskz_scalef_ps(is_normal, (__m512)y, (__m512)x);
#else
  // n = round(x): r is between -1/2 and 1/2.
  constexpr float kLargest = 128.0F;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats clamped = x > broadcast(kLargest) ? broadcast(kLargest) : x;
  const Floats shifted = clamped + kRounder;
  const Floats r = clamped - (shifted - kRounder);
  Floats y = broadcast(1.32764725e-3F);
  y = y * r + 9.67554134e-3F;
  y = y * r + 5.55071327e-2F;
  y = y * r + 2.40221197e-1F;
  y = y * r + 6.93146967e-1F;
  y = y * r + 1.0F;
  // n to the exponent; what else `shifted` holds is shifted out.
  y = (Floats)((Ints)y + ((Ints)shifted << 23));
  y = x < broadcast(kSmallest) ? Floats{} : y;
  return x == x ? y : x;
#endif
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_SIMD_HPP
