// What rounding explains: bounds on the difference between what a device shows of a value and exact
// arithmetic on the same inputs, per row, as a Euclidean norm. They follow from the device's
// ErrorModel; docs/numerics.md derives each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/device/error_model.hpp"
#include "src/program/program.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// A recorded value, row-major: numbers or indices.
struct RecordedValue {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> data;
  std::vector<std::int32_t> indices;

  std::span<const float> row(std::int64_t index) const { return row_of(data, index); }
  std::span<const std::int32_t> index_row(std::int64_t index) const {
    return row_of(indices, index);
  }

 private:
  template <class Element>
  std::span<const Element> row_of(const std::vector<Element>& all, std::int64_t index) const {
    return std::span<const Element>(all).subspan(static_cast<std::size_t>(index * columns),
                                                 static_cast<std::size_t>(columns));
  }
};

/// One step of one sequence from its beginning. `values` is indexed by ValueId; entries must be
/// filled before they are asked for.
struct RecordedStep {
  const Program& program;
  const Weights& weights;
  const std::vector<RecordedValue>& values;
  CacheTypes types;
};

/// The bounds of one device for a recorded step.
class ErrorBound {
 public:
  ErrorBound(const RecordedStep& step, const ErrorModel& model)
      : step_(step), model_(model), arithmetic_(model.arithmetic()) {}

  /// Per row of `out`, which `instruction` writes: the most by which its Euclidean norm may be off.
  /// Infinite where sums may leave the range of f32. Of indices 0: they are equal.
  std::vector<double> rows(const Instruction& instruction, ValueId out) const;

 private:
  using Bounds = std::vector<double>;

  // One for each instruction, or this does not compile: what the device's own arithmetic does,
  // beside the rounding of what is shown.
  Bounds bound(const ops::EmbedRows& op, ValueId out) const;
  Bounds bound(const ops::Norm& op, ValueId out) const;
  Bounds bound(const ops::MatMul& op, ValueId out) const;
  Bounds bound(const ops::Rope& op, ValueId out) const;
  Bounds bound(const ops::StateStore& op, ValueId out) const;
  Bounds bound(const ops::Attention& op, ValueId out) const;
  Bounds bound(const ops::LatentAttention& op, ValueId out) const;
  Bounds bound(const ops::Activation& op, ValueId out) const;
  Bounds bound(const ops::Glu& op, ValueId out) const;
  Bounds bound(const ops::Add& op, ValueId out) const;
  Bounds bound(const ops::Scale& op, ValueId out) const;
  Bounds bound(const ops::SelectRows& op, ValueId out) const;
  Bounds bound(const ops::Route& op, ValueId out) const;
  Bounds bound(const ops::ExpertMatMul& op, ValueId out) const;
  Bounds bound(const ops::ExpertCombine& op, ValueId out) const;

  const RecordedValue& value(ValueId id) const {
    return step_.values[static_cast<std::size_t>(id.index)];
  }
  /// factor * |row| for each row of a value.
  Bounds scaled_norms(ValueId id, double factor) const;
  /// Of f(x) in one element; the exponential's own error is in it.
  double function_error(ops::ActivationKind kind, double x) const;
  std::vector<float> vector(const std::optional<WeightOperand>& operand) const;

  RecordedStep step_;
  const ErrorModel& model_;
  Arithmetic arithmetic_;
};

}  // namespace ingot::internal
