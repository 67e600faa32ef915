// Processors with AVX2 and FMA (Intel since 2013, AMD since 2015).
#define INGOT_CPU_TARGET avx2
#include "cpu/targets/table.inl"
