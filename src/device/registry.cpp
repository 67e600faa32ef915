// The only file of src/ that names a backend.
#include "src/device/registry.hpp"

#include <functional>
#include <memory>
#include <mutex>

#include "cpu/backend.hpp"
#include "ingot/border.hpp"
#include "ingot/error.hpp"
#if defined(INGOT_REFERENCE)
#include "src/device/reference.hpp"
#endif

namespace ingot::internal {
namespace {

// A device that comes into being when it is first asked for: looking for one by name starts no
// driver of another.
class Slot {
 public:
  Slot(std::string_view name, std::function<std::unique_ptr<Device>()> make)
      : name_(name), make_(std::move(make)) {}

  std::string_view name() const { return name_; }

  const Device& device() {
    std::call_once(made_, [this] { device_ = make_(); });
    return *device_;
  }

 private:
  std::string_view name_;
  std::function<std::unique_ptr<Device>()> make_;
  std::once_flag made_;
  std::unique_ptr<Device> device_;
};

// The default device first.
std::vector<std::unique_ptr<Slot>>& slots() {
  static std::vector<std::unique_ptr<Slot>> all = [] {
    std::vector<std::unique_ptr<Slot>> list;
    list.push_back(std::make_unique<Slot>(kCpuName, make_cpu_device));
#if defined(INGOT_REFERENCE)
    list.push_back(std::make_unique<Slot>(kReferenceName, make_reference_device));
#endif
    return list;
  }();
  return all;
}

}  // namespace

const Device& find_device(std::string_view name) {
  std::string known;
  for (const auto& slot : slots()) {
    if (slot->name() == name) return slot->device();
    known += (known.empty() ? "" : ", ") + std::string(slot->name());
  }
  fail(ErrorCode::invalid_argument, "no device \"", name, "\" here; this build has: ", known);
}

void require_whole(const Device& device, const Program& program, Range instructions) {
  if (instructions == all_instructions(program)) return;
  fail(ErrorCode::internal, "device ", device.name(), " was given instructions ",
       instructions.begin, " to ", instructions.end, " of ", program.instructions.size(),
       "; it runs whole programs only");
}

void Refusals::add(std::int64_t index, const Instruction& instruction, const Support& support) {
  const auto* refused = std::get_if<Unsupported>(&support);
  if (refused == nullptr) return;
  text_ += detail::concat(text_.empty() ? "" : "; ", "instruction ", index, " (",
                          name_of(instruction), "): ", refused->reason);
}

void Refusals::throw_any(std::string_view device, const Program& program) const {
  if (text_.empty()) return;
  fail(ErrorCode::unsupported, "device ", device, " cannot run this ", program.architecture,
       " model: ", text_);
}

void require_support(const Device& device, const Program& program) {
  Refusals refusals;
  std::int64_t index = 0;
  for (const Instruction& instruction : program.instructions) {
    refusals.add(index++, instruction, device.supports(instruction, program));
  }
  refusals.throw_any(device.name(), program);
}

void require_cache_support(const Device& device, const Program& program, const CacheTypes& types) {
  for (const StateSpec& state : program.states) {
    const Support support = device.supports_cache(state, types);
    if (const auto* refused = std::get_if<Unsupported>(&support)) {
      fail(ErrorCode::unsupported, "device ", device.name(), ": ", refused->reason);
    }
  }
}

void require_option_support(const Device& device, const CompileOptions& options) {
  const Support support = device.supports_options(options);
  if (const auto* refused = std::get_if<Unsupported>(&support)) {
    fail(ErrorCode::unsupported, "device ", device.name(), " ", refused->reason);
  }
}

}  // namespace ingot::internal

namespace ingot {

std::vector<std::string> device_names() try {
  std::vector<std::string> names;
  for (const auto& slot : internal::slots()) names.emplace_back(slot->name());
  return names;
} catch (...) {
  detail::rethrow_at_border("device_names");
}

std::vector<DeviceInfo> devices() try {
  std::vector<DeviceInfo> list;
  for (const auto& slot : internal::slots()) list.push_back(slot->device().info());
  return list;
} catch (...) {
  detail::rethrow_at_border("devices");
}

}  // namespace ingot
