// The kernel tables of the targets: the one list that a new directory below cpu/targets joins (with
// its compile flags in cpu/CMakeLists.txt and its test of the processor in dispatch.cpp).
#pragma once

#include "cpu/dispatch/kernel_table.hpp"

namespace ingot::internal::cpu {

namespace scalar {
extern const KernelTable kTable;
}
#if defined(INGOT_CPU_X86_TARGETS)
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
namespace amx {
extern const KernelTable kTable;
}
#endif

}  // namespace ingot::internal::cpu
