// What memory there is: limits of the process's own control group and of each above it, file pages
// that can be had back, and systems that tell nothing.
#include "src/device/host_memory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/scratch_folder.hpp"

namespace ingot::internal {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class HostMemoryTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  /// A v2 group: limit and use in MiB, and the file pages of that use.
  void write_v2(const std::string& group, std::uint64_t limit, std::uint64_t used,
                std::uint64_t inactive, std::uint64_t active) {
    write(group + "memory.max", std::to_string(limit * kMiB) + "\n");
    write(group + "memory.current", std::to_string(used * kMiB) + "\n");
    write(group + "memory.stat",
          "anon 1\nfile 12345\ninactive_anon 7\nactive_anon 9\ninactive_file " +
              std::to_string(inactive * kMiB) + "\nactive_file " + std::to_string(active * kMiB) +
              "\nunevictable 0\n");
  }
  HostMemory memory(const std::string& membership) {
    const HostMemory machine = {std::uint64_t{64000} * kMiB, std::uint64_t{60000} * kMiB};
    return within_control_groups(machine, membership, folder_.path().string());
  }
  test::ScratchFolder folder_;
};

TEST_F(HostMemoryTest, IsTheMachinesWhereNothingLimits) {
  for (const char* membership : {"", "0::/\n", "4:memory:/a\n0::/b\n", "no colons\n"}) {
    const HostMemory found = memory(membership);
    EXPECT_EQ(found.total, 64000 * kMiB);
    EXPECT_EQ(found.available, 60000 * kMiB);
  }
  write("a/memory.max", "max\n");
  EXPECT_EQ(memory("0::/a\n").available, 60000 * kMiB);
}

// systemd: the limit is on a slice or service far below the mount.
TEST_F(HostMemoryTest, V2LimitOfTheProcessesOwnGroup) {
  write_v2("system.slice/ingot.service/", 4096, 1000, 0, 0);
  const HostMemory found = memory("0::/system.slice/ingot.service\n");
  EXPECT_EQ(found.total, 4096 * kMiB);
  EXPECT_EQ(found.available, 3096 * kMiB);
  EXPECT_EQ(memory("0::/system.slice/other.service\n").available, 60000 * kMiB);
}

// SLURM: a limit on the job, none or larger ones on step and task below it.
TEST_F(HostMemoryTest, V2TheLeastLimitOfTheGroupAndItsAncestorsCounts) {
  write_v2("slurm/job_7/", 2048, 1500, 0, 0);
  write_v2("slurm/job_7/step_0/", 8192, 100, 0, 0);
  write("slurm/job_7/step_0/task_0/memory.max", "max\n");
  const HostMemory found = memory("0::/slurm/job_7/step_0/task_0\n");
  EXPECT_EQ(found.total, 2048 * kMiB);
  EXPECT_EQ(found.available, 548 * kMiB);
}

// A small limit that is unused may leave more than a large one that is nearly full.
TEST_F(HostMemoryTest, WhatIsLeftIsTheLeastOfAllLevels) {
  write_v2("a/", 10000, 9900, 0, 0);
  write_v2("a/b/", 500, 0, 0, 0);
  const HostMemory found = memory("0::/a/b\n");
  EXPECT_EQ(found.total, 500 * kMiB);
  EXPECT_EQ(found.available, 100 * kMiB);
}

TEST_F(HostMemoryTest, BeyondMemoryHighAGroupIsStopped) {
  write_v2("a/", 4096, 100, 0, 0);
  write("a/memory.high", std::to_string(1024 * kMiB) + "\n");
  EXPECT_EQ(memory("0::/a\n").available, 924 * kMiB);
  write("a/memory.high", "max\n");
  EXPECT_EQ(memory("0::/a\n").available, 3996 * kMiB);
  write("b/memory.high", std::to_string(1024 * kMiB) + "\n");
  EXPECT_EQ(memory("0::/b\n").available, 1024 * kMiB) << "high without max, and no use told";
}

// Docker and LXC show a container its own group as the mount's root.
TEST_F(HostMemoryTest, IsReadFromTheMountWhereTheGroupItselfIsHidden) {
  write_v2("", 3000, 1000, 0, 0);
  EXPECT_EQ(memory("0::/docker/0123456789\n").available, 2000 * kMiB);
  EXPECT_EQ(memory("0::/\n").available, 2000 * kMiB);
  EXPECT_EQ(memory("").available, 2000 * kMiB) << "no /proc";
}

// After one run of a model its pages are active: the second run needs them counted.
TEST_F(HostMemoryTest, FilePagesCanBeHadBackWhetherActiveOrNot) {
  write_v2("a/", 4096, 4000, 500, 3000);
  EXPECT_EQ(memory("0::/a\n").available, (4096 - 500) * kMiB);
  write_v2("a/", 4096, 4000, 3000, 3000);  // the counters are not of one instant
  EXPECT_EQ(memory("0::/a\n").available, 4096 * kMiB);
  write_v2("a/", 4096, 5000, 100, 100);  // a limit lowered below the use
  EXPECT_EQ(memory("0::/a\n").available, 0U);
}

TEST_F(HostMemoryTest, V1LimitOfTheProcessesOwnGroup) {
  const std::string group = "memory/lxc/box/";
  write(group + "memory.limit_in_bytes", std::to_string(2048 * kMiB) + "\n");
  write(group + "memory.usage_in_bytes", std::to_string(1000 * kMiB) + "\n");
  write(group + "memory.stat", "inactive_file 1\nactive_file 2\ntotal_inactive_file " +
                                   std::to_string(200 * kMiB) + "\ntotal_active_file " +
                                   std::to_string(300 * kMiB) + "\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  write("memory/memory.usage_in_bytes", std::to_string(50000 * kMiB) + "\n");
  const HostMemory found = memory("9:name=systemd:/\n4:memory:/lxc/box\n1:cpu:/\n0::/\n");
  EXPECT_EQ(found.total, 2048 * kMiB);
  EXPECT_EQ(found.available, 1548 * kMiB);
  // An ancestor's limit holds for groups below it that have none.
  EXPECT_EQ(memory("4:memory:/lxc/box/init.scope\n").available, 1548 * kMiB);
  EXPECT_EQ(memory("4:cpuset,memory:/lxc/box\n").total, 2048 * kMiB) << "mounted under its name";
}

TEST_F(HostMemoryTest, UnknownIsUnknown) {
  for (const char* text :
       {"", "\n", "MemTotal:\n", "MemTotal: many kB\nMemAvailable: -\n", "junk"}) {
    const HostMemory found = machine_memory(text);
    EXPECT_EQ(found.total, std::nullopt) << text;
    EXPECT_EQ(found.available, std::nullopt) << text;
  }
  const HostMemory old = machine_memory("MemTotal:  1000 kB\nMemFree:  10 kB\n");  // before 3.14
  EXPECT_EQ(old.total, 1024000U);
  EXPECT_EQ(old.available, std::nullopt);
  const HostMemory both = machine_memory("MemTotal:  1000 kB\nMemAvailable:    0 kB\n");
  EXPECT_EQ(both.available, 0U) << "nothing left is known";

  // A limit is known even where the machine's memory is not.
  write_v2("a/", 4096, 1000, 0, 0);
  const HostMemory limited = within_control_groups({}, "0::/a\n", folder_.path().string());
  EXPECT_EQ(limited.available, 3096 * kMiB);
}

TEST_F(HostMemoryTest, ThisMachineTells) {
  const HostMemory found = host_memory();
  if (!std::filesystem::exists("/proc/meminfo")) GTEST_SKIP() << "no /proc";
  ASSERT_TRUE(found.total && found.available);
  EXPECT_LE(*found.available, *found.total);
}

}  // namespace
}  // namespace ingot::internal
