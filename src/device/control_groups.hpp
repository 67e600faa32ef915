// The control groups that limit this process: the walk that every limit is read on.
#pragma once

#include <functional>
#include <string>

namespace ingot::internal {

/// Where control groups are mounted, on every distribution in use.
inline constexpr const char* kControlGroupMount = "/sys/fs/cgroup";

/// v1 has a hierarchy per controller (or pair of them), v2 one for all; their files have different
/// names.
enum class ControlGroupVersion { v1, v2 };

/// The text of /proc/self/cgroup: which groups this process is in. Empty where there is no /proc.
std::string control_group_membership();

/// Calls visit(folder, version) for every group in `membership` that `controller` ("cpu", "memory")
/// may limit, and for each of its ancestors up to the root of `mount`: the least limit counts.
/// Inside a container the membership may name groups that the mount does not show: those folders
/// are absent, and the mount's own files still count. Without a membership the roots are visited.
void for_each_control_group(
    const std::string& membership, const std::string& mount, const std::string& controller,
    const std::function<void(const std::string& folder, ControlGroupVersion)>& visit);

}  // namespace ingot::internal
