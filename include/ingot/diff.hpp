// Comparing two devices instruction by instruction.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/session.hpp"

namespace ingot {

/// How far one value of device A is from what device B computes from the same inputs.
struct ValueDifference {
  int instruction = 0;    ///< index in the program
  std::string operation;  ///< e.g. "matmul"
  std::string value;      ///< e.g. "blk.3.ffn_out"
  /// Largest over the rows, relative to its bound: |a - b| / |b|, Euclidean norms of the row; |a -
  /// b| where b is zero; infinite where one of the two is no number and the other is. Of indices:
  /// how many of the row differ.
  double error = 0;
  /// What rounding explains in that row (docs/numerics.md), same unit: 0 of indices, infinite where
  /// sums may leave the range of f32.
  double bound = 0;
  std::int64_t worst_row = 0;  ///< the row with that error
  bool is_index = false;       ///< indices, not numbers
  /// How much of its bound an error uses: more than 1 is beyond. Infinite where nothing is allowed.
  double ratio() const {
    if (error <= bound) return error > 0 && bound < kUnbounded ? error / bound : 0.0;
    return bound > 0 ? error / bound : kUnbounded;
  }
  bool beyond() const { return !(error <= bound); }

 private:
  static constexpr double kUnbounded = std::numeric_limits<double>::infinity();
};

/// Runs `tokens` as one step through device A (`a.device`), recording every value; then through B,
/// comparing each value B computes and handing B the recorded one to go on with, so that errors do
/// not add up. Both compute every instruction from the same f32 inputs, and bounds are what the two
/// devices say they round, together. Both option sets must agree in cache types. Error as
/// Executable::load and Session::step.
INGOT_API std::vector<ValueDifference> compare_devices(std::shared_ptr<const Model> model,
                                                       std::span<const TokenId> tokens,
                                                       const LoadOptions& a, const LoadOptions& b);

}  // namespace ingot
