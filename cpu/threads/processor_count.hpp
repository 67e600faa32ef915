// How many processors this process may really use.
#pragma once

#include <string>

namespace ingot::internal::cpu {

/// Processors in the calling thread's affinity mask (taskset, cpuset); at least 1.
int affinity_count();

/// Whole processors' worth of time that the control groups named in `membership` (the text of
/// /proc/self/cgroup) grant, mounted below `mount` (/sys/fs/cgroup): the smallest limit of the
/// group and its ancestors, v2 `cpu.max` or v1 `cpu.cfs_quota_us`. 0: no limit. A quota of 2.5
/// processors counts as 2: a third thread would be put to sleep half of the time, and everyone
/// would wait for it at the next barrier.
int quota_count(const std::string& membership, const std::string& mount);

/// The smaller of both, at least 1.
int usable_processors();

}  // namespace ingot::internal::cpu
