// The program: a flat, device-free list of instructions over named values, written by an
// architecture.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ingot/dtype.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/add.hpp"
#include "src/ops/attention.hpp"
#include "src/ops/embed_rows.hpp"
#include "src/ops/expert_combine.hpp"
#include "src/ops/expert_matmul.hpp"
#include "src/ops/glu.hpp"
#include "src/ops/latent_attention.hpp"
#include "src/ops/matmul.hpp"
#include "src/ops/norm.hpp"
#include "src/ops/rope.hpp"
#include "src/ops/route.hpp"
#include "src/ops/scale.hpp"
#include "src/ops/select_rows.hpp"
#include "src/ops/state_store.hpp"
#include "src/program/operands.hpp"
#include "src/program/step.hpp"

namespace ingot::internal {

/// A new alternative is a compile error in every executor until it has said "I do" or "I can't".
using Instruction =
    std::variant<ops::EmbedRows, ops::Norm, ops::MatMul, ops::Rope, ops::StateStore, ops::Attention,
                 ops::LatentAttention, ops::Activation, ops::Glu, ops::Add, ops::Scale,
                 ops::SelectRows, ops::Route, ops::ExpertMatMul, ops::ExpertCombine>;

/// Angles of a rotary embedding: pair i of position p turns by p * inverse_frequencies[i]; cos and
/// sin are multiplied by `magnitude` (YaRN's attention factor).
struct RopeTable {
  std::vector<double> inverse_frequencies;  ///< [rotary_size / 2]
  double magnitude = 1.0;
};

struct Program {
  std::string architecture;
  std::vector<Value> values;
  std::vector<Tensor> tensors;
  std::vector<StateSpec> states;
  std::vector<StateGroup> state_groups{StateGroup{}};  ///< the first keeps every position
  std::vector<RopeTable> rope_tables;
  std::vector<Instruction> instructions;
  ValueId hidden;                 ///< [outputs, hidden size] what the head multiplies
  ValueId logits;                 ///< [heads, vocabulary]
  std::int64_t token_count = 0;   ///< ids that have a token: logits of others are never drawn
  std::int64_t context = 0;       ///< positions the program was written for
  std::int64_t experts_used = 0;  ///< experts per token, the same in all layers; 0: no experts

  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id.index)]; }
  const Tensor& tensor(TensorId id) const { return tensors[static_cast<std::size_t>(id.index)]; }
  const StateSpec& state(StateId id) const { return states[static_cast<std::size_t>(id.index)]; }
};

std::string_view name_of(const Instruction& instruction);
Operands operands(const Instruction& instruction);

/// Arithmetic and traffic of one step: the sum over the instructions.
Cost cost(const Instruction& instruction, const Program& program, const StepShape& shape);
Cost cost(const Program& program, const StepShape& shape);

/// Checks every shape rule, that each value is assigned once and before it is read, and that all
/// indices are in range. Error internal naming the instruction: a wrong program is a bug in its
/// architecture, a wrong file is refused before (src/program/builder.hpp).
void check(const Program& program);

// The one below would hide it from what is in this namespace.
using ingot::to_string;

/// The program as text, one instruction a line: `out = name attributes(inputs; weights; states)`.
/// An instruction in a group of `fused` (Device::fused) names the first of its group.
std::string to_string(const Program& program, std::span<const Range> fused = {});

}  // namespace ingot::internal
