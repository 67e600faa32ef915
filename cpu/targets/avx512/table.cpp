// Processors with the AVX-512 subsets F, BW, DQ, VL and VNNI (Intel servers since 2021, AMD since
// Zen 4).
#define INGOT_CPU_TARGET avx512
#include "cpu/targets/table.inl"
