// Work in phases on the threads of a pool: tasks of a phase run in any order, and the next phase
// begins when all of them are done. It does not wait for anybody to come: a worker that has no
// processor just now holds up nobody, unless it lost it in the middle of tasks it had taken.
//
//   worker 0   |== tasks of phase 1 ==|= last: phase 2, one task =|== phase 3 ==|= last ...
//   worker 1   |== tasks ==|.. waits for a ring ..................|== phase 3 =|.. waits ..
//   worker 2   (preempted) ..........................................|= what is left of 3 =|
//
// Whoever finishes a phase's last task begins the next one: phases of a single task it does by
// itself, at once; then it tells the number of the next phase to all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>

#include "cpu/threads/task_ranges.hpp"
#include "cpu/threads/thread_pool.hpp"

namespace ingot::internal::cpu {

/// What is to be done. All but end_phase() are called from any worker, several at a time.
class PhasedWork {
 public:
  virtual ~PhasedWork() = default;
  virtual std::size_t phases() const noexcept = 0;
  virtual std::int64_t tasks(std::size_t phase) const noexcept = 0;
  virtual void run(std::size_t phase, int worker, TaskRun tasks) noexcept = 0;
  /// Whether end_phase() is to be called between this phase and the next.
  virtual bool has_end(std::size_t phase) const noexcept = 0;
  /// On the thread that called PhaseScheduler::run(), nobody else working. What it throws ends the
  /// work and reaches that caller.
  virtual void end_phase(std::size_t phase) = 0;
};

class PhaseScheduler {
 public:
  /// Worker 0 is the caller of run().
  explicit PhaseScheduler(int workers) : workers_(workers), ranges_(workers) {}

  /// Runs all phases in order on the pool, whose size is the number of workers. What a phase wrote
  /// is seen by the next one, and by the caller afterwards. One caller at a time.
  void run(ThreadPool& pool, PhasedWork& work);

  /// parallel(count, body) calls body(0) .. body(count - 1), in any order, on any threads, and
  /// returns when all have returned.
  using Parallel = std::function<void(int count, const std::function<void(int)>& body)>;

  /// The same where threads are lent for a call: each phase of several tasks is one, because
  /// whoever waits for others inside of it would wait for ever if calls of the body are made one
  /// after the other.
  void run(const Parallel& parallel, PhasedWork& work);

 private:
  /// Where the work is: at the tasks of a phase, or between them and the next phase.
  struct Position {
    std::size_t phase = 0;
    bool at_end = false;
  };

  Position position() const;
  void publish(Position next);
  void number_phases(const PhasedWork& work);
  std::int64_t run_tasks(std::size_t phase, int worker);
  void begin(std::size_t phase, int worker);
  void finish(std::size_t phase, int worker);
  void take_part(int worker);
  void lead();

  const int workers_;
  TaskRanges ranges_;
  std::uint32_t next_number_ = 1;   ///< of the next run's first phase
  std::uint32_t first_number_ = 0;  ///< of this run's first phase
  ThreadPool* pool_ = nullptr;
  PhasedWork* work_ = nullptr;
  std::exception_ptr failure_;  ///< of end_phase()
  alignas(64) std::atomic<std::size_t> position_{0};
  alignas(64) std::atomic<std::int64_t> left_{0};  ///< tasks of the phase that are not done
};

}  // namespace ingot::internal::cpu
