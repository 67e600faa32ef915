// Phases of tasks on the pool: broken by a phase that begins before the one before has ended, a
// task that is done twice or never, a late worker that takes tasks of the wrong phase or is waited
// for, or a lost ring (these tests would hang). Run them under the thread sanitizer.
#include "cpu/threads/phases.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace ingot::internal::cpu {
namespace {

constexpr std::size_t kCells = 96;

/// Each phase makes all cells anew, each of two cells of the phase before: whoever reads too early
/// or writes too late changes what comes out.
class CellWork final : public PhasedWork {
 public:
  struct Phase {
    std::int64_t tasks = 0;
    bool has_end = false;
  };

  explicit CellWork(std::vector<Phase> phases) : phases_(std::move(phases)) {
    for (std::size_t i = 0; i < kCells; ++i) cells_[0][i] = static_cast<std::uint32_t>(i);
    for (const Phase& phase : phases_)
      from_.push_back((from_.back() + (phase.tasks > 0 ? 1 : 0)) % 2);
  }

  /// Called in each run() and end_phase().
  std::function<void(int worker)> pause = [](int) {};
  std::function<void(std::size_t phase)> end = [](std::size_t) {};

  std::size_t phases() const noexcept override { return phases_.size(); }
  std::int64_t tasks(std::size_t phase) const noexcept override { return phases_[phase].tasks; }
  bool has_end(std::size_t phase) const noexcept override { return phases_[phase].has_end; }

  void run(std::size_t phase, int worker, TaskRun tasks) noexcept override {
    pause(worker);
    const auto count = static_cast<std::size_t>(phases_[phase].tasks);
    const auto first = static_cast<std::size_t>(tasks.begin) * kCells / count;
    const auto end_cell = static_cast<std::size_t>(tasks.end) * kCells / count;
    const auto& from = cells_[from_[phase]];
    auto& to = cells_[1 - from_[phase]];
    for (std::size_t i = first; i < end_cell; ++i) {
      to[i] = from[i] * 1664525U + from[(i * 7 + phase) % kCells] + 1013904223U;
    }
    done_ += tasks.size();
    by_worker_[static_cast<std::size_t>(worker)] += tasks.size();
  }

  void end_phase(std::size_t phase) override {
    end(phase);
    ends_.push_back(phase);
  }

  const std::array<std::uint32_t, kCells>& cells() const { return cells_[from_.back()]; }
  std::int64_t done() const { return done_; }
  std::int64_t done_by(int worker) const { return by_worker_[static_cast<std::size_t>(worker)]; }
  const std::vector<std::size_t>& ends() const { return ends_; }

 private:
  std::vector<Phase> phases_;
  std::vector<std::size_t> from_ = {0};  ///< which cells a phase reads: those with tasks take turns
  std::array<std::array<std::uint32_t, kCells>, 2> cells_{};
  std::atomic<std::int64_t> done_{0};
  std::array<std::atomic<std::int64_t>, 16> by_worker_{};
  std::vector<std::size_t> ends_;
};

/// Few tasks, one, none and many in a random order, some with an end.
std::vector<CellWork::Phase> random_phases(std::size_t count, unsigned seed, bool with_ends) {
  std::mt19937 random(seed);
  std::vector<CellWork::Phase> phases(count);
  for (CellWork::Phase& phase : phases) {
    switch (random() % 4) {
      case 0: phase.tasks = random() % 2; break;
      case 1: phase.tasks = 2; break;
      default: phase.tasks = 1 + static_cast<std::int64_t>(random() % kCells); break;
    }
    phase.has_end = with_ends && random() % 8 == 0;
  }
  return phases;
}

std::int64_t tasks_of(const std::vector<CellWork::Phase>& phases) {
  std::int64_t tasks = 0;
  for (const CellWork::Phase& phase : phases) tasks += phase.tasks;
  return tasks;
}

/// What one worker without a pool's threads makes of it.
std::array<std::uint32_t, kCells> expected(const std::vector<CellWork::Phase>& phases) {
  CellWork work(phases);
  for (std::size_t p = 0; p < phases.size(); ++p) {
    if (phases[p].tasks > 0) work.run(p, 0, {0, phases[p].tasks});
  }
  return work.cells();
}

void expect_right(const CellWork& work, const std::vector<CellWork::Phase>& phases) {
  EXPECT_EQ(work.cells(), expected(phases));
  EXPECT_EQ(work.done(), tasks_of(phases));
  std::vector<std::size_t> ends;
  for (std::size_t p = 0; p < phases.size(); ++p) {
    if (phases[p].has_end) ends.push_back(p);
  }
  EXPECT_EQ(work.ends(), ends);
}

class PhasesTest : public ::testing::TestWithParam<int> {};

TEST_P(PhasesTest, ComeOneAfterTheOtherAndEveryTaskOnce) {
  ThreadPool pool(GetParam(), false);
  PhaseScheduler scheduler(GetParam());
  for (unsigned seed = 0; seed < 30; ++seed) {
    const auto phases = random_phases(100, seed, seed % 2 == 1);
    CellWork work(phases);
    scheduler.run(pool, work);
    expect_right(work, phases);
  }
}

TEST_P(PhasesTest, AreRightWithWorkersThatSleepAtRandom) {
  ThreadPool pool(GetParam(), false);
  PhaseScheduler scheduler(GetParam());
  for (unsigned seed = 0; seed < 3; ++seed) {
    const auto phases = random_phases(100, 100 + seed, true);
    CellWork work(phases);
    std::atomic<unsigned> calls{0};
    work.pause = [&](int worker) {
      const unsigned n = calls++ * 2654435761U + seed;
      if (n % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(n / 64 % 300));
      if (n % 64 == 1 && worker > 0) std::this_thread::yield();
    };
    scheduler.run(pool, work);
    expect_right(work, phases);
  }
}

// Numbers of phases begin again several times.
TEST_P(PhasesTest, AreToldApartForEver) {
  ThreadPool pool(GetParam(), false);
  PhaseScheduler scheduler(GetParam());
  constexpr std::size_t kPhases = 3000;
  std::vector<CellWork::Phase> phases(kPhases);
  for (std::size_t p = 0; p < kPhases; ++p) phases[p].tasks = p % 5 == 0 ? 3 : 1;
  const auto right = expected(phases);
  for (std::size_t run = 0; run * kPhases < (TaskRanges::kMostPhases + 20000); ++run) {
    CellWork work(phases);
    scheduler.run(pool, work);
    ASSERT_EQ(work.cells(), right);
    ASSERT_EQ(work.done(), tasks_of(phases));
  }
}

TEST_P(PhasesTest, EndWithWhatAnEndThrowsAndRunAgain) {
  ThreadPool pool(GetParam(), false);
  PhaseScheduler scheduler(GetParam());
  std::vector<CellWork::Phase> phases = random_phases(60, 7, false);
  for (const std::size_t last : {std::size_t{0}, std::size_t{30}, std::size_t{59}}) {
    auto ending = phases;
    ending[last].has_end = true;
    CellWork work(ending);
    std::thread::id caller;
    work.end = [&](std::size_t phase) {
      caller = std::this_thread::get_id();
      throw std::runtime_error(std::to_string(phase));
    };
    try {
      scheduler.run(pool, work);
      FAIL() << "returned";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), std::to_string(last));
    }
    EXPECT_EQ(caller, std::this_thread::get_id());
    ending.resize(last + 1);
    EXPECT_EQ(work.done(), tasks_of(ending));  // nothing behind it
    CellWork again(phases);
    scheduler.run(pool, again);
    expect_right(again, phases);
  }
}

// The host may make the calls of a phase one after the other, or all at once.
TEST_P(PhasesTest, RunOnLentThreads) {
  PhaseScheduler scheduler(GetParam());
  const auto phases = random_phases(60, 11, true);
  CellWork in_turns(phases);
  scheduler.run(
      [](int count, const auto& body) {
        for (int i = 0; i < count; ++i) body(i);
      },
      in_turns);
  expect_right(in_turns, phases);
  CellWork at_once(phases);
  scheduler.run(
      [](int count, const auto& body) {
        std::vector<std::thread> threads;
        for (int i = count - 1; i >= 0; --i) threads.emplace_back([&body, i] { body(i); });
        for (std::thread& thread : threads) thread.join();
      },
      at_once);
  expect_right(at_once, phases);
}

TEST_P(PhasesTest, OfNothingReturn) {
  ThreadPool pool(GetParam(), false);
  PhaseScheduler scheduler(GetParam());
  CellWork none({});
  scheduler.run(pool, none);
  CellWork idle({{0, false}, {0, true}, {0, false}});
  scheduler.run(pool, idle);
  EXPECT_EQ(idle.ends(), (std::vector<std::size_t>{1}));
}

INSTANTIATE_TEST_SUITE_P(Workers, PhasesTest, ::testing::Values(1, 2, 3, 4, 8),
                         ::testing::PrintToStringParamName());

// ---- threads that the system takes off their processors
//
// A signal's handler runs on the thread that it is sent to, wherever it is: a thread that sleeps in
// it is one without a processor. The sanitizer delivers signals late, so it cannot play.
#if !defined(__SANITIZE_THREAD__)

/// Threads of a pool that can be stopped.
class StoppableThreads {
 public:
  explicit StoppableThreads(ThreadPool& pool)
      : threads_(static_cast<std::size_t>(pool.size()), pthread_self()) {
    struct sigaction action {};
    action.sa_handler = [](int) { handle(); };
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before_);
    std::vector<char> known(threads_.size(), 0);
    std::atomic<int> missing{pool.size() - 1};
    pool.run([&](int worker) {
      const auto w = static_cast<std::size_t>(worker);
      if (worker == 0) {
        while (missing > 0) std::this_thread::yield();
      } else if (known[w] == 0) {
        known[w] = 1;
        threads_[w] = pthread_self();
        --missing;
      }
    });
  }
  ~StoppableThreads() { sigaction(SIGUSR1, &before_, nullptr); }
  StoppableThreads(const StoppableThreads&) = delete;
  StoppableThreads& operator=(const StoppableThreads&) = delete;

  /// Returns when the thread stands still, until let_go() or for two seconds.
  void stop(int worker) {
    const int before = standing_;
    hold_ = true;
    pause_us_ = 2000000;
    pthread_kill(threads_[static_cast<std::size_t>(worker)], SIGUSR1);
    while (standing_ == before) std::this_thread::yield();
  }
  int standing() const { return standing_; }
  void let_go() {
    hold_ = false;
    while (standing_ > 0) std::this_thread::yield();
  }

  /// Stops the thread for a while, some time soon.
  void interrupt(int worker, long microseconds) {
    pause_us_ = microseconds;
    pthread_kill(threads_[static_cast<std::size_t>(worker)], SIGUSR1);
  }

 private:
  static void handle() {
    const int error = errno;
    ++standing_;
    if (hold_) {
      const timespec nap{0, 1000000};
      for (long naps = pause_us_ / 1000; hold_ && naps > 0; --naps) nanosleep(&nap, nullptr);
    } else {
      const timespec time{0, pause_us_ * 1000};
      nanosleep(&time, nullptr);
    }
    --standing_;
    errno = error;
  }

  static inline std::atomic<bool> hold_{false};
  static inline std::atomic<int> standing_{0};
  static inline std::atomic<long> pause_us_{0};
  struct sigaction before_ {};
  std::vector<pthread_t> threads_;
};

/// Whether `run` returns while `threads` threads stand still, in one of a few attempts: a stop may
/// hit a thread that was just about to look for work.
bool returns_without_them(StoppableThreads& stoppable, int threads,
                          const std::function<void()>& run) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    run();
    const bool is_early = stoppable.standing() == threads;
    stoppable.let_go();
    if (is_early) return true;
  }
  return false;
}

TEST(StoppedThreadsTest, AreNotWaitedForBeforeTheyBegin) {
  for (const int workers : {2, 4}) {
    ThreadPool pool(workers, false);
    PhaseScheduler scheduler(workers);
    StoppableThreads threads(pool);
    const auto phases = random_phases(500, 3, true);
    EXPECT_TRUE(returns_without_them(threads, workers - 1, [&] {
      for (int worker = 1; worker < workers; ++worker) threads.stop(worker);
      CellWork work(phases);
      scheduler.run(pool, work);
      expect_right(work, phases);
    }));
    CellWork work(phases);  // and come to the next
    scheduler.run(pool, work);
    expect_right(work, phases);
  }
}

TEST(StoppedThreadsTest, AreNotWaitedForBetweenPhases) {
  ThreadPool pool(2, false);
  PhaseScheduler scheduler(2);
  StoppableThreads threads(pool);
  std::vector<CellWork::Phase> phases(100, {8, false});
  phases[50] = {8, true};
  EXPECT_TRUE(returns_without_them(threads, 1, [&] {
    CellWork work(phases);
    work.end = [&](std::size_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      threads.stop(1);
    };
    scheduler.run(pool, work);
    expect_right(work, phases);
  }));
}

// Tasks that somebody has begun are waited for.
TEST(StoppedThreadsTest, AreWaitedForInTheMiddleOfATask) {
  ThreadPool pool(2, false);
  PhaseScheduler scheduler(2);
  StoppableThreads threads(pool);
  std::vector<CellWork::Phase> phases(100, {8, false});
  CellWork work(phases);
  std::atomic<bool> begun{false};
  std::atomic<bool> ended{false};
  work.pause = [&](int worker) {
    if (worker == 1 && !begun.exchange(true)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ended = true;
    } else if (worker == 0) {
      while (!begun) std::this_thread::yield();
    }
  };
  scheduler.run(pool, work);
  EXPECT_TRUE(ended);
  expect_right(work, phases);
}

TEST(StoppedThreadsTest, MayStandStillAnywhere) {
  constexpr int kWorkers = 4;
  ThreadPool pool(kWorkers, false);
  PhaseScheduler scheduler(kWorkers);
  StoppableThreads threads(pool);
  std::atomic<bool> done{false};
  std::thread preemption([&] {
    std::mt19937 random(1);
    while (!done) {
      threads.interrupt(static_cast<int>(random() % kWorkers),
                        static_cast<long>(1 + random() % 400));
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 100));
    }
  });
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto phases = random_phases(200, 200 + seed, seed % 2 == 1);
    CellWork work(phases);
    scheduler.run(pool, work);
    expect_right(work, phases);
  }
  done = true;
  preemption.join();
  for (int worker = 1; worker < kWorkers; ++worker) {  // so that no signal is on its way
    threads.stop(worker);
    threads.let_go();
  }
}

#endif

}  // namespace
}  // namespace ingot::internal::cpu
