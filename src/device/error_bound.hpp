// What rounding explains: bounds on the difference between an executor's value and exact arithmetic
// on the same inputs, per row, as a Euclidean norm. docs/numerics.md derives each.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "src/program/program.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// A recorded value: row-major floats.
struct RecordedValue {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> data;

  std::span<const float> row(std::int64_t index) const {
    return std::span<const float>(data).subspan(static_cast<std::size_t>(index * columns),
                                                static_cast<std::size_t>(columns));
  }
};

/// Bounds for one step from an empty sequence whose values were recorded.
class ErrorBound {
 public:
  /// `values` is indexed by ValueId; entries must be filled before they are asked for.
  ErrorBound(const Program& program, const Weights& weights,
             const std::vector<RecordedValue>& values)
      : program_(program), weights_(weights), values_(values) {}

  /// Per row of `out`, which `instruction` writes: the most by which its Euclidean norm may be off.
  std::vector<double> rows(const Instruction& instruction, ValueId out) const;

 private:
  template <class Op>
  std::vector<double> bound(const Op& op, ValueId out) const;
  const RecordedValue& value(ValueId id) const {
    return values_[static_cast<std::size_t>(id.index)];
  }
  /// factor * |row| for each row of a value.
  std::vector<double> scaled_norms(ValueId id, double factor) const;

  /// A head's weight, the right way round.
  RecordedValue decoded(const ops::HeadWeight& head) const;

  const Program& program_;
  const Weights& weights_;
  const std::vector<RecordedValue>& values_;
};

}  // namespace ingot::internal
