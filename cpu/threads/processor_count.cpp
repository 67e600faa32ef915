#include "cpu/threads/processor_count.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

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

// The smallest limit from `path` up to the mount itself. Inside a container the path may name
// groups that the mount does not show: those files are absent and the mount's own still counts.
template <class Read>
void apply(std::optional<double>& smallest, const std::string& mount, std::string path, Read read) {
  while (true) {
    const std::optional<double> limit = read(mount + path);
    if (limit) smallest = smallest ? std::min(*smallest, *limit) : *limit;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return;
    path.resize(slash);
  }
}

bool contains_controller(const std::string& list, const std::string& wanted) {
  std::istringstream in(list);
  std::string name;
  while (std::getline(in, name, ',')) {
    if (name == wanted) return true;
  }
  return false;
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
  std::istringstream lines(membership);
  std::string line;
  // hierarchy-ID:controller-list:path
  while (std::getline(lines, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      apply(smallest, mount, path, read_v2);
    } else if (contains_controller(controllers, "cpu")) {
      apply(smallest, mount + "/cpu", path, read_v1);
      apply(smallest, mount + "/" + controllers, path, read_v1);
    }
  }
  if (!smallest) return 0;
  return std::max(1, static_cast<int>(std::min(*smallest, 1e6)));
}

int usable_processors() {
  std::ifstream in("/proc/self/cgroup");
  std::ostringstream membership;
  membership << in.rdbuf();
  const int quota = quota_count(membership.str(), "/sys/fs/cgroup");
  const int affinity = affinity_count();
  return quota > 0 ? std::min(quota, affinity) : affinity;
}

}  // namespace ingot::internal::cpu
