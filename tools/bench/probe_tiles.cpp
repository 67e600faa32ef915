#include <array>

#include "bench/probe_loops.hpp"
#include "ingot/sampler/random.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ingot::tools {

#if defined(__x86_64__) && defined(__linux__)

namespace {

// Intel SDM volume 1, chapter 18: palette 1 has 8 tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

constexpr int kTileHalves = 16 * 32;

struct alignas(64) Operands {
  std::array<std::uint16_t, 4 * kTileHalves> halves{};
};

// bf16 of random sign, exponent and mantissa, 0.5 to 2 in magnitude. Zeros would draw less power,
// and a clock that rises over that is a limit that no model meets.
Operands random_operands() {
  Operands operands;
  Pcg32 random(1);
  for (std::uint16_t& half : operands.halves) {
    half = static_cast<std::uint16_t>(0x3f00U | (random.next() >> 16U & 0x80ffU));
  }
  return operands;
}

// A round is the product of 2 x 2 tiles from registers. One product takes 52 cycles and one can
// start every 16, so four independent sums keep the unit busy. Sums grow by 128 a round at most.
__attribute__((target("amx-tile,amx-bf16"))) float multiply_add_tiles(std::int64_t rounds) {
  static const Operands operands = random_operands();
  const TileConfig config;
  _tile_loadconfig(&config);
  const std::uint16_t* halves = operands.halves.data();
  _tile_loadd(4, halves, 64);
  _tile_loadd(5, halves + kTileHalves, 64);
  _tile_loadd(6, halves + 2 * kTileHalves, 64);
  _tile_loadd(7, halves + 3 * kTileHalves, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  alignas(64) std::array<float, 256> sums;
  _tile_stored(3, sums.data(), 64);
  _tile_release();
  return sums[0];
}

constexpr MultiplyAddLoop kTiles = {"amx bf16", multiply_add_tiles, 4 * 2.0 * 16 * 16 * 32, 10'000};

bool allows_tiles() {
  // CPUID leaf 7, EDX (Intel SDM volume 2, CPUID).
  constexpr unsigned kAmxBf16 = 1U << 22U;
  constexpr unsigned kAmxTile = 1U << 24U;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  // arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA), for the whole process
  // (Documentation/arch/x86/xstate.rst).
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const MultiplyAddLoop* tile_loop() {
  static const bool allowed = allows_tiles();
  return allowed ? &kTiles : nullptr;
}

#else

const MultiplyAddLoop* tile_loop() {
  return nullptr;
}

#endif

}  // namespace ingot::tools
