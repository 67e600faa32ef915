// Results of ingot bench as a table and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/measure.hpp"
#include "bench/profile.hpp"

namespace ingot::tools {

/// A test with what it gave and on what it ran.
struct BenchRow {
  BenchTest test;
  BenchResult result;
  std::optional<Profile> profile;
  std::shared_ptr<const Executable> executable;
  int threads = 1;
};

/// An array of one object per row; the fields are described in `ingot bench --help`.
std::string json_report(const std::vector<BenchRow>& rows);

/// A table for people, with the model and machine above it and the profiles below.
std::string table_report(const std::vector<BenchRow>& rows);

}  // namespace ingot::tools
