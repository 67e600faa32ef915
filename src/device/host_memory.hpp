// How much memory this process may use: the machine's and the control groups' limits together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ingot::internal {

/// Bytes; nothing where the system does not tell, which is no reason to refuse anything.
struct HostMemory {
  std::optional<std::uint64_t> total;
  std::optional<std::uint64_t> available;  ///< can be taken without swapping or being killed
};

/// What the text of /proc/meminfo says about the machine.
HostMemory machine_memory(const std::string& meminfo);

/// `memory` within the limits of the control groups in `membership` (the text of /proc/self/cgroup)
/// and their ancestors, mounted below `mount`: v2 memory.max and memory.high (beyond which a group
/// is slowed down until it stands), v1 memory.limit_in_bytes. Of what a group uses, its file pages
/// count as available, inactive and active alike: a model that was read a minute ago lies among the
/// active ones, and the system gives them up before it kills.
HostMemory within_control_groups(HostMemory memory, const std::string& membership,
                                 const std::string& mount);

/// Both, of this process now.
HostMemory host_memory();

}  // namespace ingot::internal
