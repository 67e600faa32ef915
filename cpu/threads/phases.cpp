#include "cpu/threads/phases.hpp"

#include <algorithm>
#include <utility>

#include "ingot/error.hpp"

namespace ingot::internal::cpu {

void PhaseScheduler::run(ThreadPool& pool, PhasedWork& work) {
  number_phases(work);
  pool_ = &pool;
  work_ = &work;
  position_.store(1, std::memory_order_relaxed);  // nothing to take yet: lead() begins
  pool.run([this](int worker) {
    if (worker == 0) {
      lead();
    } else {
      take_part(worker);
    }
  });
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void PhaseScheduler::run(const Parallel& parallel, PhasedWork& work) {
  number_phases(work);
  work_ = &work;
  for (std::size_t phase = 0; phase < work.phases(); ++phase) {
    const std::int64_t tasks = work.tasks(phase);
    const auto workers = static_cast<int>(std::min<std::int64_t>(workers_, tasks));
    if (workers == 1) {
      work.run(phase, 0, {0, tasks});
    } else if (workers > 1) {
      parallel(workers, [&](int worker) { run_tasks(phase, worker); });
    }
    if (work.has_end(phase)) work.end_phase(phase);
  }
}

void PhaseScheduler::number_phases(const PhasedWork& work) {
  if (work.phases() >= TaskRanges::kMostPhases) {
    fail(ErrorCode::internal, work.phases(), " phases are more than can be told apart");
  }
  const auto phases = static_cast<std::uint32_t>(work.phases());
  if (phases > TaskRanges::kMostPhases - next_number_) {
    ranges_.restart();
    next_number_ = 1;
  }
  first_number_ = std::exchange(next_number_, next_number_ + phases);
}

// What the worker gets of a phase's tasks; how many.
std::int64_t PhaseScheduler::run_tasks(std::size_t phase, int worker) {
  const TaskRanges::Phase tasks{first_number_ + static_cast<std::uint32_t>(phase),
                                work_->tasks(phase)};
  std::int64_t done = 0;
  for (TaskRun run = ranges_.take(tasks, worker); !run.empty(); run = ranges_.take(tasks, worker)) {
    work_->run(phase, worker, run);
    done += run.size();
  }
  return done;
}

PhaseScheduler::Position PhaseScheduler::position() const {
  const std::size_t value = position_.load(std::memory_order_acquire);
  return {value / 2, value % 2 != 0};
}

void PhaseScheduler::publish(Position next) {
  position_.store(2 * next.phase + (next.at_end ? 1 : 0), std::memory_order_release);
  pool_->ring();
}

// Nobody is working: `worker` is the only one to know that the phase before has ended.
void PhaseScheduler::begin(std::size_t phase, int worker) {
  for (; phase < work_->phases(); ++phase) {
    const std::int64_t tasks = work_->tasks(phase);
    if (tasks > 1) {
      left_.store(tasks, std::memory_order_relaxed);
      publish({phase, false});
      return;
    }
    if (tasks == 1) work_->run(phase, worker, {0, 1});
    if (work_->has_end(phase)) {
      publish({phase, true});
      return;
    }
  }
  publish({phase, false});
}

void PhaseScheduler::finish(std::size_t phase, int worker) {
  if (work_->has_end(phase)) {
    publish({phase, true});
  } else {
    begin(phase + 1, worker);
  }
}

// As long as there is anything to take. A phase that ends meanwhile has no tasks left, and none of
// the next can be taken in its name.
void PhaseScheduler::take_part(int worker) {
  while (true) {
    const Position now = position();
    if (now.at_end || now.phase >= work_->phases()) return;
    const std::int64_t done = run_tasks(now.phase, worker);
    // Whoever has done nothing must not touch the count, which may be the next phase's.
    if (done == 0 || left_.fetch_sub(done, std::memory_order_acq_rel) != done) return;
    finish(now.phase, worker);
  }
}

void PhaseScheduler::lead() {
  begin(0, 0);
  while (true) {
    const int seen = pool_->rings();
    take_part(0);
    const Position now = position();
    if (now.phase >= work_->phases()) return;
    if (!now.at_end) {
      pool_->wait_for_ring(seen);
      continue;
    }
    try {
      work_->end_phase(now.phase);
      begin(now.phase + 1, 0);
    } catch (...) {
      failure_ = std::current_exception();
      publish({work_->phases(), false});
    }
  }
}

}  // namespace ingot::internal::cpu
