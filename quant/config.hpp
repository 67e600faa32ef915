// What every format header needs from the compiler, refused here when it is not given.
#pragma once

#include <bit>

// Decoding is specified bit for bit; value-changing optimisations would make it depend on the
// compiler.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "ingot/quant decodes bit for bit: compile without -ffast-math, -Ofast and their parts"
#endif

// x87 keeps intermediate results wider than float. (16: as 0, except for _Float16.)
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "ingot/quant decodes bit for bit: compile for SSE2 or another unit that rounds to float"
#endif

static_assert(std::endian::native == std::endian::little,
              "GGUF blocks are little-endian and are read in place");

// Codec functions are inline, so a translation unit compiled for a wider instruction set emits its
// own copies, and the linker keeps only one of each name: perhaps one that faults on the machine at
// hand. The instruction set is therefore part of their (inline) namespace. Code sees
// ingot::quant::Q4_K either way. A build that distinguishes more sets than these defines
// INGOT_QUANT_TARGET per translation unit.
#ifndef INGOT_QUANT_TARGET
#if defined(__AVX512F__)
#define INGOT_QUANT_TARGET isa_avx512
#elif defined(__AVX2__)
#define INGOT_QUANT_TARGET isa_avx2
#elif defined(__AVX__)
#define INGOT_QUANT_TARGET isa_avx
#elif defined(__SSE4_1__)
#define INGOT_QUANT_TARGET isa_sse4
#else
#define INGOT_QUANT_TARGET isa_base
#endif
#endif
