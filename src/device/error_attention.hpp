// What softmax and weighted sums may be off, for attention of any kind.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "src/device/error_bound.hpp"
#include "src/device/error_model.hpp"

namespace ingot::internal {

/// A query and what it sees.
struct SeenPositions {
  std::vector<double> scores;
  std::vector<double> errors;                              ///< that the scores may have
  std::vector<std::vector<double>> values;                 ///< per position
  double sink = -std::numeric_limits<double>::infinity();  ///< a score without a value
};

/// What its result is, and the most by which that may be off.
struct AttendedBound {
  std::vector<double> weights;
  std::vector<double> result;
  double error = 0;
};

/// `rotated`: the type that values are stored in, is_rotated().
AttendedBound attended_bound(const SeenPositions& seen, const AttentionModel& model,
                             const Arithmetic& arithmetic, bool rotated);

/// The roundings of a score, scale * (q, k). `rotated`: the type that keys are stored in.
double score_error(double scale, std::span<const double> q, std::span<const double> k,
                   const AttentionModel& model, double unit, bool rotated);

/// What wrote the rows that attention reads from a state.
const ops::StateStore& store_of(const Program& program, StateId state);

/// Rows of so many heads as they are read from a cache of that type.
RecordedValue as_stored(RecordedValue rows, DType type, std::int64_t heads);

}  // namespace ingot::internal
