// Raw arrays on disk: golden data and fixtures.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace ingot::test {

/// The folder of golden data that is not in this repository; the environment may move it.
inline std::filesystem::path fixtures() {
  const char* moved = std::getenv("INGOT_FIXTURES");
  return moved != nullptr ? moved : INGOT_FIXTURES;
}

/// A file of tests/data.
inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(INGOT_SOURCE_DIR) / "tests" / "data" / name;
}

/// A whole file as elements of T; a test failure and nothing when it cannot be read.
template <class T>
std::vector<T> read_array(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(bytes.size() % sizeof(T), 0u) << path;
  std::vector<T> elements(bytes.size() / sizeof(T));
  std::memcpy(elements.data(), bytes.data(), elements.size() * sizeof(T));
  return elements;
}

}  // namespace ingot::test
