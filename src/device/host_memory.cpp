#include "src/device/host_memory.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace ingot::internal {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // absent, or "max"
}

// The `inactive_file` line of a memory.stat: page cache that the group would give back under
// pressure.
std::uint64_t reclaimable(const std::string& path, const std::string& field) {
  std::ifstream in(path);
  std::string name;
  std::uint64_t value = 0;
  while (in >> name >> value) {
    if (name == field) return value;
  }
  return 0;
}

void apply_limit(HostMemory& memory, std::optional<std::uint64_t> limit,
                 std::optional<std::uint64_t> used, std::uint64_t cache) {
  // v1 writes "no limit" as a number near 2^63.
  if (!limit || *limit >= (std::uint64_t{1} << 62)) return;
  const std::uint64_t in_use = used.value_or(0) > cache ? *used - cache : 0;
  memory.total = memory.total == 0 ? *limit : std::min(memory.total, *limit);
  const std::uint64_t left = *limit > in_use ? *limit - in_use : 0;
  memory.available = memory.available == 0 ? left : std::min(memory.available, left);
}

}  // namespace

HostMemory host_memory() {
  HostMemory memory;
  std::ifstream in("/proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    const auto kilobytes = [&line] { return std::stoull(line.substr(line.find(':') + 1)) * 1024; };
    if (line.rfind("MemTotal:", 0) == 0) memory.total = kilobytes();
    if (line.rfind("MemAvailable:", 0) == 0) memory.available = kilobytes();
  }
  const std::string v2 = "/sys/fs/cgroup/";
  apply_limit(memory, read_number(v2 + "memory.max"), read_number(v2 + "memory.current"),
              reclaimable(v2 + "memory.stat", "inactive_file"));
  const std::string v1 = "/sys/fs/cgroup/memory/";
  apply_limit(memory, read_number(v1 + "memory.limit_in_bytes"),
              read_number(v1 + "memory.usage_in_bytes"),
              reclaimable(v1 + "memory.stat", "total_inactive_file"));
  return memory;
}

}  // namespace ingot::internal
