#include "src/state/lazy_memory.hpp"

#include <sys/mman.h>

namespace ingot::internal {

void UnmapMemory::operator()(std::byte* memory) const {
  munmap(memory, bytes);
}

LazyMemory map_lazily(std::size_t bytes) {
  // No reservation: pages are committed when first written.
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return {nullptr, UnmapMemory{}};
#if defined(MADV_HUGEPAGE)
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return {static_cast<std::byte*>(memory), UnmapMemory{bytes}};
}

}  // namespace ingot::internal
