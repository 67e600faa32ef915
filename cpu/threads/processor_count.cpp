#include "cpu/threads/processor_count.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <vector>

#include "src/device/control_groups.hpp"

namespace ingot::internal::cpu {
namespace {

// Quota / period in processors, if the file exists and sets a limit.
std::optional<double> read_v2(const std::string& group) {
  std::ifstream in(group + "/cpu.max");
  double quota = 0;
  double period = 0;
  if (in >> quota >> period && quota > 0 && period > 0) return quota / period;
  return std::nullopt;  // absent, or "max"
}

std::optional<double> read_v1(const std::string& group) {
  std::ifstream quota_file(group + "/cpu.cfs_quota_us");
  std::ifstream period_file(group + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0)
    return quota / period;
  return std::nullopt;  // absent, or -1
}

}  // namespace

int affinity_count() {
  // The kernel refuses a mask smaller than its own, so the mask grows until it fits.
  for (std::size_t words = 16; words <= 4096; words *= 2) {
    std::vector<cpu_set_t> mask((words * 64 + CPU_SETSIZE - 1) / CPU_SETSIZE);
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0)
      return std::max(1, CPU_COUNT_S(bytes, mask.data()));
    if (errno != EINVAL) break;
  }
  return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

int quota_count(const std::string& membership, const std::string& mount) {
  std::optional<double> smallest;
  for_each_control_group(
      membership, mount, "cpu", [&](const std::string& folder, ControlGroupVersion version) {
        const auto limit = version == ControlGroupVersion::v2 ? read_v2(folder) : read_v1(folder);
        if (limit) smallest = smallest ? std::min(*smallest, *limit) : *limit;
      });
  if (!smallest) return 0;
  return std::max(1, static_cast<int>(std::min(*smallest, 1e6)));
}

int usable_processors() {
  const int quota = quota_count(control_group_membership(), kControlGroupMount);
  const int affinity = affinity_count();
  return quota > 0 ? std::min(quota, affinity) : affinity;
}

}  // namespace ingot::internal::cpu
