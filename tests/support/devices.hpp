// The devices that suites run over. INGOT_TEST_DEVICES=cpu,reference restricts them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "ingot/device.hpp"

namespace ingot::test {

/// Those of this build that INGOT_TEST_DEVICES names, or all. Throws for a name that is none: a
/// selection that selects nothing must not look like success.
inline std::vector<DeviceInfo> test_devices() {
  std::vector<DeviceInfo> all = devices();
  const char* wanted = std::getenv("INGOT_TEST_DEVICES");
  if (wanted == nullptr || *wanted == '\0') return all;
  std::vector<DeviceInfo> chosen;
  std::istringstream names(wanted);
  for (std::string name; std::getline(names, name, ',');) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const DeviceInfo& device) { return device.name == name; });
    if (found == all.end()) {
      throw std::invalid_argument("INGOT_TEST_DEVICES names \"" + name +
                                  "\", which is no device here");
    }
    chosen.push_back(*found);
  }
  return chosen;
}

inline std::vector<std::string> test_device_names() {
  std::vector<std::string> names;
  for (const DeviceInfo& device : test_devices()) names.push_back(device.name);
  return names;
}

/// A size for tests on a device: what is quick where it is fast takes minutes where it is emulated.
template <class Size>
Size size_for(const std::string& device, Size fast, Size slow, Size emulated) {
  for (const DeviceInfo& info : devices()) {
    if (info.name != device) continue;
    switch (info.speed) {
      case DeviceSpeed::fast: return fast;
      case DeviceSpeed::slow: return slow;
      case DeviceSpeed::emulated: return emulated;
    }
  }
  ADD_FAILURE() << device << " is no device";
  return emulated;
}

/// A parameter's name in a test's: letters and digits only.
inline std::string device_test_name(const ::testing::TestParamInfo<std::string>& parameter) {
  std::string name = parameter.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace ingot::test
