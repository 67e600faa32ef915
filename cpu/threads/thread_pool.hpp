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
  using Body = std::function<void(int)>;

  /// `size` threads, the caller of run() counted as one of them. With `pin`, each started thread
  /// is bound to its own processor of the affinity mask; the caller's thread is the host program's
  /// and is never bound. Error out_of_memory when the system refuses a thread.
  ThreadPool(int size, bool pin);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Error invalid_argument in a child process made by fork(), which has no such threads.
  void require_threads() const;

  /// Calls body(0), once, on the calling thread. As long as it runs, each other thread calls its
  /// body(1) ... body(size() - 1) as soon as it has a processor, and again after every ring() (or
  /// more often).
  /// Returns when body(0) has returned and nobody is inside any call; a thread that has not come
  /// by then, because the system runs something else on its processor, is not waited for and does
  /// not call. So body(0) must be able to do, or wait for, all of the work. The body must not
  /// throw. One caller at a time. Error as require_threads().
  void run(const Body& body);

  /// For bodies: how often ring() was called, to look at before looking for work.
  int rings() const { return bell_.load(std::memory_order_acquire); }
  /// There is work: whoever waits looks again. What was written before is seen by whoever does.
  void ring();
  /// For body(0), which has found no work: returns once there was a ring after `seen`.
  void wait_for_ring(int seen) const { wait_while_equal(bell_, seen, spin_); }

 private:
  /// Of a started thread: 1 while it is, or is about to be, inside a call of the body.
  struct alignas(64) Inside {
    std::atomic<int> value{0};
  };

  void work(int index);
  void stop();

  const int size_;
  /// Not at all when there are fewer processors than threads, because whoever is waited for then
  /// needs the spinner's processor.
  const SpinTime spin_;
  const pid_t process_;
  std::atomic<bool> stopping_{false};
  std::atomic<const Body*> body_{nullptr};  ///< null: between runs
  alignas(64) std::atomic<int> bell_{0};
  std::vector<Inside> inside_;
  std::vector<std::thread> threads_;
};

}  // namespace ingot::internal::cpu
