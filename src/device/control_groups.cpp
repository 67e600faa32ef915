#include "src/device/control_groups.hpp"

#include <fstream>
#include <set>
#include <sstream>
#include <utility>

namespace ingot::internal {
namespace {

bool contains(const std::string& list, const std::string& wanted) {
  std::istringstream in(list);
  std::string name;
  while (std::getline(in, name, ',')) {
    if (name == wanted) return true;
  }
  return false;
}

}  // namespace

std::string control_group_membership() {
  std::ifstream in("/proc/self/cgroup");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void for_each_control_group(
    const std::string& membership, const std::string& mount, const std::string& controller,
    const std::function<void(const std::string& folder, ControlGroupVersion)>& visit) {
  std::set<std::string> visited;  // hierarchies meet in their root
  const auto walk = [&](const std::string& root, std::string path, ControlGroupVersion version) {
    while (true) {
      while (!path.empty() && path.back() == '/') path.pop_back();
      if (visited.insert(root + path).second) visit(root + path, version);
      if (path.empty()) return;
      const std::size_t slash = path.rfind('/');
      path.resize(slash == std::string::npos ? 0 : slash);
    }
  };
  // With v1 controllers mounted, v2 lies in a folder of its own.
  const auto walk_v2 = [&](const std::string& path) {
    walk(mount, path, ControlGroupVersion::v2);
    walk(mount + "/unified", path, ControlGroupVersion::v2);
  };
  bool any = false;
  std::istringstream lines(membership);
  std::string line;
  // hierarchy-ID:controller-list:path
  while (std::getline(lines, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    any = true;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      walk_v2(path);
    } else if (contains(controllers, controller)) {
      walk(mount + "/" + controller, path, ControlGroupVersion::v1);
      walk(mount + "/" + controllers, path, ControlGroupVersion::v1);
    }
  }
  if (any) return;
  walk_v2("");
  walk(mount + "/" + controller, "", ControlGroupVersion::v1);
}

}  // namespace ingot::internal
