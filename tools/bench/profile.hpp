// Where the time of a step goes, by instruction kind and format.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/measure.hpp"

namespace ingot::tools {

struct ProfileRow {
  std::string operation;   ///< "matmul"; "state_store+attention" where only their sum is seen
  std::string formats;     ///< "q8_0", "f16"; empty where no weight or cache is touched
  std::int64_t count = 0;  ///< times it was seen
  double seconds = 0;
  double bytes = 0;  ///< weights and cache
  double flops = 0;
  double share_of_time = 0;
  /// The time that bytes at the read bandwidth or flops at the f32 peak would take (the longer
  /// one), as a share of the time taken.
  double share_of_limit = 0;
};

struct Profile {
  double seconds = 0;            ///< of all rows
  double bandwidth = 0;          ///< bytes/s, measured before
  double peak = 0;               ///< flop/s, measured before
  std::vector<ProfileRow> rows;  ///< the longest first
};

/// Runs one repetition of the test with a tap that reads a clock. An instruction that writes only
/// the cache has no value to tap: its time is in the next one's row, whose name then says so. The
/// first row of a step includes the step's preparation. A tap makes all threads wait for each other
/// after every instruction, so a profiled step is slower than a plain one.
Profile profile(BenchSession& session, const BenchTest& test, const Limits& limits);

}  // namespace ingot::tools
