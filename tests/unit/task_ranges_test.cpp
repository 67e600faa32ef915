// Shares of tasks: broken by a task that is done twice or never, or by a worker that leaves another
// alone with the rest.
#include "cpu/threads/task_ranges.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace ingot::cpu {
namespace {

TEST(TaskRanges, AWorkerTakesItsOwnShareInOrderThenOthersFromTheEnd) {
  TaskRanges ranges(3);
  ranges.deal_all(10);  // 0..2, 3..5, 6..9
  std::vector<std::int64_t> taken;
  for (std::int64_t task = ranges.take(1); task >= 0; task = ranges.take(1)) taken.push_back(task);
  EXPECT_EQ(taken, (std::vector<std::int64_t>{3, 4, 5, 9, 8, 7, 6, 2, 1, 0}));
  EXPECT_EQ(ranges.take(0), -1);
}

TEST(TaskRanges, FewerTasksThanWorkers) {
  TaskRanges ranges(4);
  ranges.deal_all(2);
  std::vector<int> done(2);
  for (int worker = 0; worker < 4; ++worker) {
    const std::int64_t task = ranges.take(worker);
    if (task >= 0) ++done[static_cast<std::size_t>(task)];
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
      for (std::int64_t task = ranges.take(worker); task >= 0; task = ranges.take(worker)) {
        ++done[static_cast<std::size_t>(task)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace ingot::cpu
