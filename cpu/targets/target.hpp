// Included by every loop file (.inl). A target is one directory below cpu/targets: it defines
// INGOT_CPU_TARGET, includes the loops, and is compiled with its own flags. Everything compiled for
// a target lives in namespace ingot::internal::cpu::TARGET, so that code for a wider instruction
// set can never be the copy that the linker keeps for a narrower one. For the same reason the loops
// call no inline function of the standard library: those have one name for all targets.
#pragma once

#ifndef INGOT_CPU_TARGET
#error "a loop file is included by a target's translation unit, which defines INGOT_CPU_TARGET"
#endif
