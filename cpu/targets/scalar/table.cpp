// The portable target: the loops as the baseline of the platform compiles them.
#define INGOT_CPU_TARGET scalar
#include "cpu/targets/table.inl"
