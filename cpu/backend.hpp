// The CPU executor, as the registry sees it.
#pragma once

#include <memory>
#include <string_view>

#include "src/device/device.hpp"

namespace ingot::internal {

inline constexpr std::string_view kCpuName = "cpu";

/// The device "cpu", with the kernels that INGOT_CPU_ISA names (now, once) or the best this
/// processor has. Error invalid_argument when the variable names something else.
std::unique_ptr<Device> make_cpu_device();

}  // namespace ingot::internal
