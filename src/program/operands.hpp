// What an instruction can name: values, weights and states. Every instruction exposes the ones it
// uses as Operands, so that liveness, printing, taps and cost are written once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ingot/device.hpp"
#include "ingot/dtype.hpp"

namespace ingot::internal {

/// A half-open range of indices.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// Row counts are symbolic: a program is written once and run for steps of any shape.
enum class Rows : std::uint8_t {
  tokens,              ///< one row per token of the step
  outputs,             ///< one row per token of which something was asked for
  heads,               ///< one row per output that goes through the head: the first of `outputs`
  assignments,         ///< one row per token and expert it uses (Program::experts_used of them)
  output_assignments,  ///< one row per token of outputs and expert it uses
  once,                ///< one row, whatever the step
};

/// What the symbolic row counts stand for in a step.
struct RowCounts {
  std::int64_t tokens = 0;
  std::int64_t outputs = 0;
  std::int64_t heads = 0;         ///< at most `outputs`
  std::int64_t experts_used = 0;  ///< experts that each token uses

  constexpr std::int64_t of(Rows kind) const {
    switch (kind) {
      case Rows::tokens: return tokens;
      case Rows::outputs: return outputs;
      case Rows::heads: return heads;
      case Rows::assignments: return tokens * experts_used;
      case Rows::output_assignments: return outputs * experts_used;
      case Rows::once: return 1;
    }
    return 0;
  }
};

/// Whether an instruction may read a value of rows `in` and write one of rows `out`: the same rows,
/// or the first of them.
constexpr bool takes_rows(Rows in, Rows out) {
  return in == out || (in == Rows::outputs && out == Rows::heads);
}

/// Rows of what experts make of values with a row per token, or per output.
constexpr Rows assignments_of(Rows kind) {
  return kind == Rows::outputs ? Rows::output_assignments : Rows::assignments;
}

struct ValueId {
  std::int32_t index = -1;
  bool operator==(const ValueId&) const = default;
};

/// An intermediate result: a row-major matrix [rows, columns], assigned by exactly one instruction.
struct Value {
  std::string name;
  Rows rows = Rows::tokens;
  std::int64_t columns = 0;
  ValueType type = ValueType::f32;
};

struct TensorId {
  std::int32_t index = -1;
  bool operator==(const TensorId&) const = default;
};

/// A weight tensor: `experts` matrices of [rows, columns], columns contiguous.
struct Tensor {
  std::string name;
  DType type = DType::F32;
  std::int64_t columns = 0;
  std::int64_t rows = 1;
  std::int64_t experts = 1;
  /// The file's type where it is another: the tensor is decoded to `type`, F32, when it is loaded.
  std::optional<DType> stored_as = {};
  /// The file's tensors that it is made of, as many experts in each, one after the other; empty:
  /// the one of its own name.
  std::vector<std::string> parts = {};

  std::uint64_t bytes() const {
    return row_bytes(type, columns) * static_cast<std::uint64_t>(rows * experts);
  }
};

/// A part of a tensor. Column ranges begin and end at block borders.
struct WeightOperand {
  TensorId tensor;
  Range rows;
  Range columns;
  Range experts{0, 1};
  bool operator==(const WeightOperand&) const = default;
};

struct StateId {
  std::int32_t index = -1;
  bool operator==(const StateId&) const = default;
};

/// What attention of one layer keeps: per position and KV head one key and one value row.
struct StateSpec {
  std::string name;
  std::int64_t kv_head_count = 0;
  std::int64_t key_size = 0;    ///< elements of a key row, per head
  std::int64_t value_size = 0;  ///< elements of a value row, per head
  /// A latent state (ops::LatentAttention): there are no value rows, the first value_size elements
  /// of a key row are the value. Stored in the type of keys.
  bool values_in_keys = false;
  std::int32_t group = 0;  ///< index into Program::state_groups
};

/// States that keep the same positions: they share page numbers and page tables.
struct StateGroup {
  /// Positions that attention looks back, the token's own included; older ones need not be kept.
  /// 0: all.
  std::int64_t window = 0;
};

/// Everything an instruction touches. Values are f32 but for those in `indices`.
struct Operands {
  std::vector<ValueId> reads;
  std::vector<ValueId> writes;
  std::vector<WeightOperand> weights;
  std::vector<StateId> reads_states;
  std::vector<StateId> writes_states;
  std::vector<ValueId> indices;  ///< those of `reads` and `writes` that are i32
};

}  // namespace ingot::internal
