// The program-wide operator new of ingot_model_tests. Left alone it is malloc.
#include "tests/support/failing_allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::int64_t kNever = INT64_MAX;
std::atomic<std::int64_t> allocations_left{kNever};
std::atomic<bool> failed{false};

void count_allocation() {
  if (allocations_left.load(std::memory_order_relaxed) == kNever) return;
  if (allocations_left.fetch_sub(1) != 0) return;
  failed = true;
  throw std::bad_alloc();
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  count_allocation();
  const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, padded == 0 ? alignment : padded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace ingot::test {

void fail_allocation(std::int64_t count) {
  failed = false;
  allocations_left = count;
}

bool stop_failing() {
  allocations_left = kNever;
  return failed;
}

}  // namespace ingot::test

void* operator new(std::size_t bytes) {
  return allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
