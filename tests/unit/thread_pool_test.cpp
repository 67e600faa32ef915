// The CPU executor's threads: broken by a count that ignores the affinity mask or the quota, a lost
// wake-up (these tests would hang), a run that returns while somebody is inside of it, or an
// unsynchronised access (run them under the thread sanitizer).
#include "cpu/threads/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "cpu/threads/processor_count.hpp"
#include "ingot/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot::internal::cpu {
namespace {

// Processors this process may use, found without the code under test.
std::vector<int> allowed_processors() {
  cpu_set_t mask;
  std::vector<int> found;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return found;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &mask)) found.push_back(i);
  }
  return found;
}

TEST(ProcessorCountTest, FollowsTheAffinityMask) {
  const std::vector<int> allowed = allowed_processors();
  ASSERT_FALSE(allowed.empty());
  EXPECT_EQ(affinity_count(), static_cast<int>(allowed.size()));
  // The mask is a thread's own: narrow it where nobody else is disturbed.
  int narrowed = 0;
  int usable = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(allowed.back(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    narrowed = affinity_count();
    usable = usable_processors();
  }).join();
  EXPECT_EQ(narrowed, 1);
  EXPECT_EQ(usable, 1);
}

class QuotaTest : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    const auto path = folder_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  int quota(const std::string& membership) {
    return quota_count(membership, folder_.path().string());
  }
  test::ScratchFolder folder_;
};

TEST_F(QuotaTest, IsAbsentWhereNothingLimits) {
  EXPECT_EQ(quota(""), 0);
  EXPECT_EQ(quota("0::/\n"), 0);
  EXPECT_EQ(quota("no colons at all\n"), 0);
  write("a/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/a\n"), 0);
  write("cpu/b/cpu.cfs_quota_us", "-1\n");
  write("cpu/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpu,cpuacct:/b\n"), 0);
}

TEST_F(QuotaTest, IsTheSmallestOfTheGroupAndItsAncestors) {
  write("a/cpu.max", "800000 100000\n");
  write("a/b/cpu.max", "300000 100000\n");
  write("a/b/c/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/a/b/c\n"), 3);
  EXPECT_EQ(quota("0::/a\n"), 8);
  write("a/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota("0::/a/b/c\n"), 2);
}

TEST_F(QuotaTest, IsReadFromTheMountWhereTheGroupItselfIsHidden) {
  write("cpu.max", "400000 100000\n");
  EXPECT_EQ(quota("0::/docker/0123456789\n"), 4);
  EXPECT_EQ(quota("0::/\n"), 4);
}

TEST_F(QuotaTest, CountsWholeProcessorsAndAtLeastOne) {
  write("a/cpu.max", "250000 100000\n");
  EXPECT_EQ(quota("0::/a\n"), 2);
  write("a/cpu.max", "20000 100000\n");
  EXPECT_EQ(quota("0::/a\n"), 1);
}

TEST_F(QuotaTest, KnowsVersionOne) {
  write("cpu/b/cpu.cfs_quota_us", "150000\n");
  write("cpu/b/cpu.cfs_period_us", "50000\n");
  EXPECT_EQ(quota("3:memory:/b\n4:cpuacct,cpu:/b\n"), 3);
  write("cpu,cpuacct/d/cpu.cfs_quota_us", "200000\n");
  write("cpu,cpuacct/d/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpu,cpuacct:/d\n"), 2);
  EXPECT_EQ(quota("4:cpuset:/d\n"), 0);  // another controller
}

/// Waits, as body(0), until `count` is reached.
void wait_for(const std::atomic<int>& value, int count) {
  while (value < count) std::this_thread::yield();
}

TEST(ThreadPoolTest, EveryMemberCallsAndRunWaitsForThoseInside) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadPool pool(size, false);
    ASSERT_EQ(pool.size(), size);
    std::vector<int> calls(static_cast<std::size_t>(size), 0);
    std::vector<std::thread::id> ids(static_cast<std::size_t>(size));
    for (int round = 1; round <= 200; ++round) {
      std::atomic<int> inside{0};
      pool.run([&](int worker) {
        ++inside;
        if (worker == 0) wait_for(inside, size);
        std::this_thread::yield();
        ++calls[static_cast<std::size_t>(worker)];  // unsynchronised: run() must order it
        ids[static_cast<std::size_t>(worker)] = std::this_thread::get_id();
      });
      for (const int count : calls) ASSERT_EQ(count, round);
    }
    EXPECT_EQ(ids[0], std::this_thread::get_id());
    for (std::size_t i = 1; i < ids.size(); ++i) EXPECT_NE(ids[i], ids[0]);
  }
}

TEST(ThreadPoolTest, MembersCallAgainAfterARing) {
  ThreadPool pool(3, false);
  std::atomic<int> calls{0};
  std::atomic<int> rounds{0};
  pool.run([&](int worker) {
    if (worker != 0) {
      ++calls;
      return;
    }
    for (int round = 1; round <= 100; ++round) {
      const int before = calls;
      pool.ring();
      wait_for(calls, before + 1);
      ++rounds;
    }
  });
  EXPECT_EQ(rounds, 100);
}

TEST(ThreadPoolTest, TheCallerWaitsForARing) {
  ThreadPool pool(2, false);
  for (int i = 0; i < 100; ++i) {
    std::atomic<bool> written{false};
    pool.run([&](int worker) {
      if (worker == 1) {
        if (i % 2 == 0) std::this_thread::sleep_for(2 * kSpinTime);
        if (!written.exchange(true)) pool.ring();
        return;
      }
      for (int seen = pool.rings(); !written; seen = pool.rings()) {
        if (!written) pool.wait_for_ring(seen);
      }
    });
    EXPECT_TRUE(written);
  }
}

TEST(ThreadPoolTest, SurvivesManyStartsAndStops) {
  int calls = 0;
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(4, false);
    if (i % 3 != 0) pool.run([&](int worker) { calls += worker == 0 ? 1 : 0; });  // some never run
  }
  EXPECT_EQ(calls, 200);
}

TEST(ThreadPoolTest, WakesThreadsThatFellAsleep) {
  ThreadPool pool(3, false);
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> calls{0};
    pool.run([&](int worker) {
      ++calls;
      if (worker == 0) wait_for(calls, 3);
    });
    std::this_thread::sleep_for(50 * kSpinTime);
  }
}

TEST(ThreadPoolTest, ServesCallersOneAfterAnother) {
  ThreadPool pool(2, false);
  for (int i = 0; i < 20; ++i) {
    int seen = 0;
    std::thread([&] {
      pool.run([&](int worker) {
        if (worker == 0) ++seen;
      });
    }).join();
    EXPECT_EQ(seen, 1);
  }
}

TEST(ThreadPoolTest, PinsEachThreadToOneProcessor) {
  const std::vector<int> allowed = allowed_processors();
  if (allowed.size() < 2) GTEST_SKIP() << "needs two processors";
  ThreadPool pool(2, true);
  // A thread is bound just after it was started, so the first rounds may come before.
  int processors = 0;
  for (int i = 0; i < 1000 && processors != 1; ++i) {
    std::atomic<bool> called{false};
    pool.run([&](int worker) {
      while (worker == 0 && !called) std::this_thread::yield();
      if (worker == 1) processors = affinity_count();
      called = true;
    });
    std::this_thread::yield();
  }
  EXPECT_EQ(processors, 1);
  EXPECT_EQ(affinity_count(), static_cast<int>(allowed.size()));  // the caller's is left alone
}

TEST(ThreadPoolTest, RefusesToRunInAForkedChild) {
  ThreadPool pool(2, false);
  const pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      pool.run([](int) {});
    } catch (const Error& error) {
      code = error.code() == ErrorCode::invalid_argument ? 0 : 2;
    }
    _exit(code);
  }
  ASSERT_GT(child, 0);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace ingot::internal::cpu
