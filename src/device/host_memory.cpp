#include "src/device/host_memory.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "src/device/control_groups.hpp"

namespace ingot::internal {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // absent, or "max"
}

void lower(std::optional<std::uint64_t>& least, std::uint64_t value) {
  least = least ? std::min(*least, value) : value;
}

// The file pages that a group holds, from its memory.stat: `inactive` and `active` name the lines.
std::uint64_t file_pages(const std::string& path, const std::string& inactive,
                         const std::string& active) {
  std::ifstream in(path);
  std::string name;
  std::uint64_t value = 0;
  std::uint64_t bytes = 0;
  while (in >> name >> value) {
    if (name == inactive || name == active) bytes += value;
  }
  return bytes;
}

void apply_limit(HostMemory& memory, std::optional<std::uint64_t> limit,
                 std::optional<std::uint64_t> used, std::uint64_t reclaimable) {
  // v1 writes "no limit" as a number near 2^63.
  if (!limit || *limit >= (std::uint64_t{1} << 62)) return;
  const std::uint64_t in_use = used.value_or(0) > reclaimable ? *used - reclaimable : 0;
  lower(memory.total, *limit);
  lower(memory.available, *limit > in_use ? *limit - in_use : 0);
}

void apply_group(HostMemory& memory, const std::string& folder, ControlGroupVersion version) {
  const bool v2 = version == ControlGroupVersion::v2;
  const auto file = [&](const char* name) { return folder + "/memory." + name; };
  std::optional<std::uint64_t> limit = read_number(file(v2 ? "max" : "limit_in_bytes"));
  if (v2) {
    if (const auto high = read_number(file("high"))) lower(limit, *high);
  }
  if (!limit) return;
  // v1 counts a group's children in the lines that begin with total_.
  const std::string prefix = v2 ? "" : "total_";
  apply_limit(memory, limit, read_number(file(v2 ? "current" : "usage_in_bytes")),
              file_pages(file("stat"), prefix + "inactive_file", prefix + "active_file"));
}

}  // namespace

HostMemory machine_memory(const std::string& meminfo) {
  HostMemory memory;
  std::istringstream lines(meminfo);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream in(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    if (!(in >> name >> kilobytes)) continue;
    if (name == "MemTotal:") memory.total = kilobytes * 1024;
    if (name == "MemAvailable:") memory.available = kilobytes * 1024;
  }
  return memory;
}

HostMemory within_control_groups(HostMemory memory, const std::string& membership,
                                 const std::string& mount) {
  for_each_control_group(membership, mount, "memory",
                         [&](const std::string& folder, ControlGroupVersion version) {
                           apply_group(memory, folder, version);
                         });
  return memory;
}

HostMemory host_memory() {
  std::ifstream in("/proc/meminfo");
  std::ostringstream meminfo;
  meminfo << in.rdbuf();
  return within_control_groups(machine_memory(meminfo.str()), control_group_membership(),
                               kControlGroupMount);
}

}  // namespace ingot::internal
