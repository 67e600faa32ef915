// A barrier for the threads of one pool: nobody passes before everybody has come.
#pragma once

#include <atomic>

#include "cpu/threads/wait.hpp"

namespace ingot::internal::cpu {

class Barrier {
 public:
  Barrier(int count, SpinTime spin) : count_(count), spin_(spin) {}
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  /// What any thread wrote before its call is seen by every thread after it.
  void wait() {
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < count_) {
      wait_while_equal(round_, round, spin_);
      return;
    }
    // The last to come opens the next round before it lets the others go.
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(static_cast<int>(static_cast<unsigned>(round) + 1U), std::memory_order_release);
    round_.notify_all();
  }

 private:
  const int count_;
  const SpinTime spin_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
};

}  // namespace ingot::internal::cpu
