// How much memory this process may use: the machine's and the control group's limits together.
#pragma once

#include <cstdint>

namespace ingot::internal {

struct HostMemory {
  std::uint64_t total = 0;      ///< bytes
  std::uint64_t available = 0;  ///< bytes that can be taken without swapping or being killed
};

/// Reads /proc/meminfo and the cgroup (v2, then v1) limits. Zero fields where the system tells
/// nothing.
HostMemory host_memory();

}  // namespace ingot::internal
