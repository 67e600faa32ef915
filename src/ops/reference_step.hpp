// What a reference implementation sees of a step: values in double, weights decoded on demand,
// states.
#pragma once

#include <span>
#include <vector>

#include "src/program/program.hpp"
#include "src/state/host_pool.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// A row-major matrix inside the reference executor's arena.
template <class Element>
struct MatrixOf {
  Element* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  std::span<Element> row(std::int64_t index) const {
    return {data + index * columns, static_cast<std::size_t>(columns)};
  }
  std::span<Element> all() const { return {data, static_cast<std::size_t>(rows * columns)}; }
};

using Matrix = MatrixOf<double>;             ///< a value of numbers
using IndexMatrix = MatrixOf<std::int32_t>;  ///< a value of indices

class ReferenceStep {
 public:
  static constexpr std::uint64_t kElementBytes = sizeof(double);

  /// `arena` has kElementBytes for each element of its plan, whose offsets are given.
  ReferenceStep(const Program& program, const Weights& weights, const StepInput& input,
                HostPool& states, std::byte* arena, std::span<const std::uint64_t> offsets,
                bool by_row)
      : program_(program),
        weights_(weights),
        input_(input),
        states_(states),
        arena_(arena),
        offsets_(offsets),
        by_row_(by_row) {}

  const Program& program() const { return program_; }
  const StepInput& input() const { return input_; }
  const HostPool& states() const { return states_; }

  Matrix value(ValueId id) const { return matrix<double>(id); }
  IndexMatrix indices(ValueId id) const { return matrix<std::int32_t>(id); }

  /// Whether products take rows one by one: how a matrix library adds depends on their number.
  bool by_row() const { return by_row_; }

  /// Row `row` of an expert of a weight operand, decoded.
  std::vector<float> weight_row(const WeightOperand& operand, std::int64_t row,
                                std::int64_t expert = 0) const {
    std::vector<float> out(static_cast<std::size_t>(operand.columns.size()));
    decode_row(program_, weights_, operand, expert, row, out);
    return out;
  }

 private:
  template <class Element>
  MatrixOf<Element> matrix(ValueId id) const {
    const Value& value = program_.value(id);
    std::byte* first = arena_ + offsets_[static_cast<std::size_t>(id.index)] * kElementBytes;
    return {reinterpret_cast<Element*>(first), input_.rows(value.rows), value.columns};
  }

  const Program& program_;
  const Weights& weights_;
  const StepInput& input_;
  const HostPool& states_;
  std::byte* arena_;
  std::span<const std::uint64_t> offsets_;
  bool by_row_;
};

}  // namespace ingot::internal
