// What a reference implementation sees of a step: values in double, weights decoded on demand,
// states.
#pragma once

#include <span>
#include <vector>

#include "src/program/program.hpp"
#include "src/state/host_pool.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// A row-major matrix of doubles inside the reference executor's arena.
struct Matrix {
  double* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  std::span<double> row(std::int64_t index) const {
    return {data + index * columns, static_cast<std::size_t>(columns)};
  }
  std::span<double> all() const { return {data, static_cast<std::size_t>(rows * columns)}; }
};

class ReferenceStep {
 public:
  ReferenceStep(const Program& program, const Weights& weights, const StepInput& input,
                HostPool& states, std::span<double> arena, std::span<const std::uint64_t> offsets)
      : program_(program),
        weights_(weights),
        input_(input),
        states_(states),
        arena_(arena),
        offsets_(offsets) {}

  const Program& program() const { return program_; }
  const StepInput& input() const { return input_; }
  const HostPool& states() const { return states_; }

  Matrix value(ValueId id) const {
    const Value& value = program_.value(id);
    return {arena_.data() + offsets_[static_cast<std::size_t>(id.index)], input_.rows(value.rows),
            value.columns};
  }

  /// Row `row` of an expert of a weight operand, decoded.
  std::vector<float> weight_row(const WeightOperand& operand, std::int64_t row,
                                std::int64_t expert = 0) const {
    std::vector<float> out(static_cast<std::size_t>(operand.columns.size()));
    decode_row(program_, weights_, operand, expert, row, out);
    return out;
  }

 private:
  const Program& program_;
  const Weights& weights_;
  const StepInput& input_;
  const HostPool& states_;
  std::span<double> arena_;
  std::span<const std::uint64_t> offsets_;
};

}  // namespace ingot::internal
