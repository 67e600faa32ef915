// Processors with AMX tiles of bf16 beside AVX-512 (Intel servers since 2023).
#define INGOT_CPU_TARGET amx
#include "cpu/targets/table.inl"
