// Every storage type, for tests that go through all of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ingot/dtype.hpp"

namespace ingot::test {

inline std::vector<DType> all_formats() {
  std::vector<DType> types;
  for (const auto& format : quant::kFormats) types.push_back(format.id);
  return types;
}

/// The name of a test whose parameter is a storage type.
inline std::string format_name(const ::testing::TestParamInfo<DType>& parameter) {
  return std::string(to_string(parameter.param));
}

}  // namespace ingot::test
