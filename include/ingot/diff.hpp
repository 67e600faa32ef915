// Comparing two devices instruction by instruction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/session.hpp"

namespace ingot {

/// How far one value of device A is from what device B computes from the same inputs.
struct ValueDifference {
  int instruction = 0;         ///< index in the program
  std::string operation;       ///< e.g. "matmul"
  std::string value;           ///< e.g. "blk.3.ffn_out"
  double error = 0;            ///< largest over the rows: |a - b| / |b|, Euclidean norms of the row
  double bound = 0;            ///< what rounding explains in that row (docs/numerics.md), same unit
  std::int64_t worst_row = 0;  ///< the row with the largest error relative to its bound
  double ratio() const { return bound > 0 ? error / bound : (error > 0 ? 1e300 : 0.0); }
  bool beyond() const { return !(error <= bound); }  // NaN is beyond
};

/// Runs `tokens` as one step through device A (`a.device`), recording every value; then through B,
/// comparing each value B computes and handing B the recorded one to go on with, so that errors do
/// not add up. The bounds are those of the less exact of the two devices against exact arithmetic.
/// Both option sets must agree in cache types. Error as Executable::load and Session::step.
INGOT_API std::vector<ValueDifference> compare_devices(std::shared_ptr<const Model> model,
                                                       std::span<const TokenId> tokens,
                                                       const LoadOptions& a, const LoadOptions& b);

}  // namespace ingot
