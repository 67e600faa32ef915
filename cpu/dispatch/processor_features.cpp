#include "cpu/dispatch/processor_features.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ingot::internal::cpu {

#if defined(__x86_64__) && defined(__linux__)

bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kF16c = 1U << 29;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kF16c) != 0;
}

bool allows_amx() {
  // CPUID leaf 7, EDX (Intel SDM volume 2, CPUID).
  constexpr unsigned kAmxBf16 = 1U << 22;
  constexpr unsigned kAmxTile = 1U << 24;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  // arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA), Documentation/arch/x86/xstate.rst; kernels before
  // 5.16 refuse it, and so do machines whose system does not save the tiles.
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

#else

bool has_f16c() {
  return false;
}
bool allows_amx() {
  return false;
}

#endif

}  // namespace ingot::internal::cpu
