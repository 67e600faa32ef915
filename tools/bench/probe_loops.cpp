#include "bench/probe_loops.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot::tools {
namespace {

// Every loop runs acc = acc * 0.5 + 1, which stays near 2 for ever: no infinities, no subnormals.
// A multiply-add takes 4 cycles and two can start in each, so 8 independent ones keep both units
// busy; 12 leave room for a late one, and fit AVX2's 16 registers with the two constants.
constexpr int kAccumulators = 12;
constexpr std::int64_t kRounds = 100'000;

// Read ahead of the loads: the hardware prefetcher stops at each 4 KiB page. Both halves of the
// memory are read in turns, since a core reads two streams faster than one.
constexpr std::size_t kPrefetchBytes = 768;

// ---- any processor ------------------------------------------------------------------------------

using Floats = float __attribute__((vector_size(16)));

float multiply_add_generic(std::int64_t rounds) {
  std::array<Floats, kAccumulators> sums{};
  const Floats half = {0.5F, 0.5F, 0.5F, 0.5F};
  const Floats one = {1, 1, 1, 1};
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (Floats& sum : sums) sum = sum * half + one;
  }
  float total = 0;
  for (const Floats& sum : sums) total += sum[0];
  return total;
}

std::uint64_t read_generic(const std::byte* data, std::size_t bytes) {
  std::array<std::uint64_t, 8> sums{};
  for (std::size_t i = 0; i < bytes; i += 64) {
    std::array<std::uint64_t, 8> words{};
    std::memcpy(words.data(), data + i, 64);
    for (std::size_t w = 0; w < 8; ++w) sums[w] += words[w];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

constexpr ProbeLoops kGeneric = {
    read_generic, {"f32 vector", multiply_add_generic, kAccumulators * 4 * 2.0, kRounds}};

#if defined(__x86_64__)

// ---- AVX2 ---------------------------------------------------------------------------------------

__attribute__((target("avx2,fma"))) float multiply_add_avx2(std::int64_t rounds) {
  __m256 sums[kAccumulators];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  const __m256 half = _mm256_set1_ps(0.5F);
  const __m256 one = _mm256_set1_ps(1.0F);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, half, one);
  }
  float total = 0;
  for (const __m256& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx2,fma"))) std::uint64_t read_avx2(const std::byte* data,
                                                            std::size_t bytes) {
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (std::size_t i = 0; i < bytes / 2; i += 128) {
    for (std::size_t j = 0; j < 8; ++j) {
      const std::byte* at = data + j / 4 * (bytes / 2) + i + j % 4 * 32;
      if (j % 2 == 0) {
        _mm_prefetch(reinterpret_cast<const char*>(at) + kPrefetchBytes, _MM_HINT_T1);
      }
      sums[j] = _mm256_add_epi64(sums[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
    }
  }
  std::uint64_t total = 0;
  for (const __m256i& sum : sums) total += static_cast<std::uint64_t>(_mm256_extract_epi64(sum, 0));
  return total;
}

constexpr ProbeLoops kAvx2 = {read_avx2,
                              {"f32 vector", multiply_add_avx2, kAccumulators * 8 * 2.0, kRounds}};

// ---- AVX-512 ------------------------------------------------------------------------------------

__attribute__((target("avx512f"))) float multiply_add_avx512(std::int64_t rounds) {
  __m512 sums[kAccumulators];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const __m512 half = _mm512_set1_ps(0.5F);
  const __m512 one = _mm512_set1_ps(1.0F);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, half, one);
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx512f"))) std::uint64_t read_avx512(const std::byte* data,
                                                             std::size_t bytes) {
  __m512i sums[8];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (std::size_t i = 0; i < bytes / 2; i += 256) {
    for (std::size_t j = 0; j < 8; ++j) {
      const std::byte* at = data + j / 4 * (bytes / 2) + i + j % 4 * 64;
      _mm_prefetch(reinterpret_cast<const char*>(at) + kPrefetchBytes, _MM_HINT_T1);
      sums[j] = _mm512_add_epi64(sums[j], _mm512_load_si512(at));
    }
  }
  alignas(64) std::array<std::uint64_t, 8> words{};
  for (std::size_t j = 1; j < 8; ++j) sums[0] = _mm512_add_epi64(sums[0], sums[j]);
  _mm512_store_si512(words.data(), sums[0]);
  return words[0];
}

constexpr ProbeLoops kAvx512 = {
    read_avx512, {"f32 vector", multiply_add_avx512, kAccumulators * 16 * 2.0, kRounds}};

#endif

}  // namespace

const ProbeLoops& probe_loops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
  return kGeneric;
}

}  // namespace ingot::tools
