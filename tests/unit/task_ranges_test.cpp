// Shares of tasks: broken by a task that is done twice or never, or by a worker that leaves another
// alone with the rest.
#include "cpu/threads/task_ranges.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace ingot::internal::cpu {
namespace {

TEST(TaskRanges, AWorkerTakesItsOwnShareInOrderThenOthersFromTheEnd) {
  TaskRanges ranges(3);
  ranges.deal_all(10);  // 0..2, 3..5, 6..9
  std::vector<std::int64_t> taken;
  for (TaskRun run = ranges.take(1); !run.empty(); run = ranges.take(1)) {
    for (std::int64_t task = run.begin; task < run.end; ++task) taken.push_back(task);
  }
  EXPECT_EQ(taken, (std::vector<std::int64_t>{3, 4, 5, 8, 9, 7, 6, 1, 2, 0}));
  EXPECT_TRUE(ranges.take(0).empty());
}

// Neighbours together while much is left, one by one at the end.
TEST(TaskRanges, RunsGetShorter) {
  TaskRanges ranges(2);
  ranges.deal_all(40);  // 0..19, 20..39
  std::vector<std::int64_t> lengths;
  std::int64_t next = 0;
  for (TaskRun run = ranges.take(0); run.begin < 20; run = ranges.take(0)) {
    EXPECT_EQ(run.begin, next);
    next = run.end;
    lengths.push_back(run.end - run.begin);
  }
  EXPECT_EQ(lengths, (std::vector<std::int64_t>{15, 4, 1}));
  EXPECT_EQ(next, 20);
}

TEST(TaskRanges, FewerTasksThanWorkers) {
  TaskRanges ranges(4);
  ranges.deal_all(2);
  std::vector<int> done(2);
  for (int worker = 0; worker < 4; ++worker) {
    const TaskRun run = ranges.take(worker);
    for (std::int64_t task = run.begin; task < run.end; ++task) {
      ++done[static_cast<std::size_t>(task)];
    }
  }
  EXPECT_EQ(done, (std::vector<int>{1, 1}));
}

TEST(TaskRanges, EveryTaskIsTakenOnceByRacingWorkers) {
  constexpr int kWorkers = 4;
  constexpr std::int64_t kTasks = 20000;
  TaskRanges ranges(kWorkers);
  ranges.deal_all(kTasks);
  std::vector<std::atomic<int>> done(kTasks);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      for (TaskRun run = ranges.take(worker); !run.empty(); run = ranges.take(worker)) {
        for (std::int64_t task = run.begin; task < run.end; ++task) {
          ++done[static_cast<std::size_t>(task)];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace ingot::internal::cpu
