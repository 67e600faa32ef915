// Processors with the AVX-512 subsets F, BW, DQ and VL (Intel servers since 2017, AMD since Zen 4).
#define INGOT_CPU_TARGET avx512
#include "cpu/targets/table.inl"
