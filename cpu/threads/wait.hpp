// Waiting for another thread: a bounded spin, then the kernel's wait.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace ingot::internal::cpu {

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How long to look before sleeping. Waking a sleeper costs 5 to 50 us and kernels of one decode
/// step take 10 to 200 us, so a thread that sleeps between kernels is always late; but a thread
/// that spins while the one it waits for has no processor only takes time from it.
using SpinTime = std::chrono::microseconds;
inline constexpr SpinTime kSpinTime{60};

/// Returns once `value` differs from `old`, with acquire order. Spins for at most `limit` (yielding
/// now and then, so that an oversubscribed machine runs whoever is waited for), then sleeps until a
/// notify, which must follow a sequentially consistent change of the value.
inline void wait_while_equal(const std::atomic<int>& value, int old, SpinTime limit) {
  if (value.load(std::memory_order_acquire) != old) return;
  if (limit.count() > 0) {
    const auto end = std::chrono::steady_clock::now() + limit;
    do {
      for (int i = 0; i < 32; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause_briefly();
      }
      std::this_thread::yield();
    } while (std::chrono::steady_clock::now() < end);
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_seq_cst);
}

}  // namespace ingot::internal::cpu
