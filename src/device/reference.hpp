// The reference executor: the oracle that every other one is tested against. One instruction at a
// time, values and sums in double, rounding only where a stored type rounds (weights, cache).
#pragma once

#include <memory>
#include <string_view>

#include "src/device/device.hpp"

namespace ingot::internal {

inline constexpr std::string_view kReferenceName = "reference";

std::unique_ptr<Device> make_reference_device();

}  // namespace ingot::internal
