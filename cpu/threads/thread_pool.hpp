// The CPU executor's own threads: started once, asleep between steps.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "cpu/threads/wait.hpp"

namespace ingot::internal::cpu {

class ThreadPool {
 public:
  /// `size` threads, the caller of run() counted as one of them. With `pin`, each started thread
  /// is bound to its own processor of the affinity mask; the caller's thread is the host program's
  /// and is never bound. Error out_of_memory when the system refuses a thread.
  ThreadPool(int size, bool pin);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// How long members should spin at barriers: not at all when there are fewer processors than
  /// threads, because whoever is waited for then needs the spinner's processor.
  SpinTime spin_time() const { return spin_; }

  /// Calls body(0) on the calling thread and body(1) ... body(size() - 1) on the others, all at
  /// the same time, and returns when all have returned. The body must not throw. One caller at a
  /// time. Error invalid_argument in a child process made by fork(), which has no such threads.
  void run(const std::function<void(int)>& body);

 private:
  void work(int index);
  void stop();

  const int size_;
  const SpinTime spin_;
  const pid_t process_;
  const std::function<void(int)>* body_ = nullptr;
  bool stopping_ = false;
  alignas(64) std::atomic<int> round_{0};
  alignas(64) std::atomic<int> running_{0};
  std::vector<std::thread> threads_;
};

}  // namespace ingot::internal::cpu
