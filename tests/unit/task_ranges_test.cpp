// Shares of tasks: broken by a task that is done twice or never, or by a worker that leaves another
// alone with the rest.
#include "cpu/threads/task_ranges.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace ingot::internal::cpu {
namespace {

std::vector<std::int64_t> take_all(TaskRanges& ranges, TaskRanges::Phase phase, int worker) {
  std::vector<std::int64_t> taken;
  for (TaskRun run = ranges.take(phase, worker); !run.empty(); run = ranges.take(phase, worker)) {
    for (std::int64_t task = run.begin; task < run.end; ++task) taken.push_back(task);
  }
  return taken;
}

TEST(TaskRanges, AWorkerTakesItsOwnShareInOrderThenOthersFromTheEnd) {
  TaskRanges ranges(3);  // 0..2, 3..5, 6..9
  EXPECT_EQ(take_all(ranges, {1, 10}, 1),
            (std::vector<std::int64_t>{3, 4, 5, 8, 9, 7, 6, 1, 2, 0}));
  EXPECT_TRUE(ranges.take({1, 10}, 0).empty());
}

// Neighbours together while much is left, one by one at the end.
TEST(TaskRanges, RunsGetShorter) {
  TaskRanges ranges(2);  // 0..19, 20..39
  std::vector<std::int64_t> lengths;
  std::int64_t next = 0;
  for (TaskRun run = ranges.take({1, 40}, 0); run.begin < 20; run = ranges.take({1, 40}, 0)) {
    EXPECT_EQ(run.begin, next);
    next = run.end;
    lengths.push_back(run.size());
  }
  EXPECT_EQ(lengths, (std::vector<std::int64_t>{15, 4, 1}));
  EXPECT_EQ(next, 20);
}

TEST(TaskRanges, FewerTasksThanWorkers) {
  TaskRanges ranges(4);
  std::vector<int> done(2);
  for (int worker = 0; worker < 4; ++worker) {
    const TaskRun run = ranges.take({1, 2}, worker);
    for (std::int64_t task = run.begin; task < run.end; ++task) {
      ++done[static_cast<std::size_t>(task)];
    }
  }
  EXPECT_EQ(done, (std::vector<int>{1, 1}));
}

TEST(TaskRanges, WhoComesLateGetsNothingOfAPhaseThatIsOver) {
  TaskRanges ranges(3);
  EXPECT_EQ(take_all(ranges, {1, 10}, 0).size(), 10U);
  EXPECT_EQ(take_all(ranges, {2, 7}, 1).size(), 7U);
  EXPECT_TRUE(ranges.take({1, 10}, 2).empty());
  EXPECT_EQ(ranges.take({3, 9}, 0).begin, 0);  // the third has begun
  for (const std::uint32_t over : {1U, 2U}) {
    for (int worker = 0; worker < 3; ++worker) EXPECT_TRUE(ranges.take({over, 9}, worker).empty());
  }
  EXPECT_EQ(take_all(ranges, {3, 9}, 2).size(), 6U);
}

// Shares that were empty for long, at each end of the numbers.
TEST(TaskRanges, SharesThatNobodyTouchedAreFull) {
  TaskRanges ranges(4);
  for (const std::uint32_t number : {1U, 2U, TaskRanges::kMostPhases - 1}) {
    EXPECT_EQ(take_all(ranges, {number, 1}, 3), (std::vector<std::int64_t>{0}));
  }
  EXPECT_EQ(take_all(ranges, {TaskRanges::kMostPhases, 4}, 0),
            (std::vector<std::int64_t>{0, 1, 2, 3}));
  ranges.restart();
  EXPECT_EQ(take_all(ranges, {1, 4}, 0), (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(TaskRanges, AnyNumberOfTasks) {
  for (const std::int64_t tasks :
       {(std::int64_t{1} << 24) - 1, std::int64_t{1} << 24, (std::int64_t{1} << 40) + 12345}) {
    TaskRanges ranges(3);
    std::vector<TaskRun> runs;
    for (TaskRun run = ranges.take({5, tasks}, 1); !run.empty(); run = ranges.take({5, tasks}, 1)) {
      runs.push_back(run);
    }
    EXPECT_NEAR(static_cast<double>(runs[0].begin), static_cast<double>(tasks) / 3,
                static_cast<double>(tasks) / (1 << 23));
    EXPECT_EQ(runs[1].begin, runs[0].end);
    std::sort(runs.begin(), runs.end(),
              [](const TaskRun& a, const TaskRun& b) { return a.begin < b.begin; });
    std::int64_t next = 0;
    for (const TaskRun& run : runs) {
      ASSERT_EQ(run.begin, next);
      next = run.end;
    }
    EXPECT_EQ(next, tasks);
  }
}

TEST(TaskRanges, EveryTaskIsTakenOnceByRacingWorkers) {
  constexpr int kWorkers = 4;
  constexpr std::int64_t kTasks = 20000;
  TaskRanges ranges(kWorkers);
  std::vector<std::atomic<int>> done(kTasks);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      for (const std::int64_t task : take_all(ranges, {1, kTasks}, worker)) {
        ++done[static_cast<std::size_t>(task)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace ingot::internal::cpu
