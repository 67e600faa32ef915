// The only file of src/ that names a backend.
#include "src/device/registry.hpp"

#include "cpu/backend.hpp"
#include "ingot/error.hpp"
#if defined(INGOT_REFERENCE)
#include "src/device/reference.hpp"
#endif

namespace ingot::internal {
namespace {

const std::vector<std::unique_ptr<Device>>& registry() {
  static const std::vector<std::unique_ptr<Device>> all = [] {
    std::vector<std::unique_ptr<Device>> list;
    list.push_back(make_cpu_device());
#if defined(INGOT_REFERENCE)
    list.push_back(make_reference_device());
#endif
    return list;
  }();
  return all;
}

}  // namespace

const Device& find_device(std::string_view name) {
  std::string known;
  for (const auto& device : registry()) {
    const std::string candidate = device->info().name;
    if (candidate == name) return *device;
    known += (known.empty() ? "" : ", ") + candidate;
  }
  fail(ErrorCode::invalid_argument, "no device \"", name, "\" here; this build has: ", known);
}

void require_support(const Device& device, const Program& program) {
  std::string problems;
  int index = 0;
  for (const Instruction& instruction : program.instructions) {
    const Support support = device.supports(instruction, program);
    if (const auto* refused = std::get_if<Unsupported>(&support)) {
      problems += detail::concat(problems.empty() ? "" : "; ", "instruction ", index, " (",
                                 name_of(instruction), "): ", refused->reason);
    }
    ++index;
  }
  if (!problems.empty()) {
    fail(ErrorCode::unsupported, "device ", device.info().name, " cannot run this ",
         program.architecture, " model: ", problems);
  }
}

}  // namespace ingot::internal

namespace ingot {

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> list;
  for (const auto& device : internal::registry()) list.push_back(device->info());
  return list;
}

}  // namespace ingot
