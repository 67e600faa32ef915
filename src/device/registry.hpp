// The devices of this build by name.
#pragma once

#include <string_view>

#include "src/device/device.hpp"

namespace ingot::internal {

/// The device with that name; it lives as long as the program. Error invalid_argument listing the
/// names that exist.
const Device& find_device(std::string_view name);

}  // namespace ingot::internal
