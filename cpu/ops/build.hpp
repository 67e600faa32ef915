// Instruction -> kernels: one overload per instruction, each in its own file. A new instruction
// does not compile until it has one, even if that only says Unsupported.
#pragma once

#include <variant>

#include "cpu/dispatch/kernel_table.hpp"
#include "cpu/ops/choose.hpp"
#include "cpu/ops/kernel.hpp"
#include "cpu/quant/pack.hpp"
#include "src/program/program.hpp"

namespace ingot::internal::cpu {

struct BuildContext {
  const Program& program;
  const KernelTable& table;
  /// Null when the question is only whether the instruction can be run and what space it takes:
  /// the kernels then have the right shape but no data.
  const PackedWeights* weights = nullptr;
  Numerics numerics = {};

  /// How products with a weight of this format are computed.
  ProductPaths paths(const FormatKernels& format) const {
    return choose_product(table, numerics, format);
  }

  /// The rows of a part of a tensor (of its first expert), from its first column; interleaved where
  /// pack.cpp knows the instruction to read them so.
  WeightRows rows(const WeightOperand& operand) const;

  /// A vector: one F32 row.
  const float* vector(const WeightOperand& operand) const;
  const float* vector(const std::optional<WeightOperand>& operand) const {
    return operand ? vector(*operand) : nullptr;
  }
};

using Built = std::variant<Kernels, Unsupported>;

Built build(const ops::EmbedRows& op, const BuildContext& context);
Built build(const ops::Norm& op, const BuildContext& context);
Built build(const ops::MatMul& op, const BuildContext& context);
Built build(const ops::Rope& op, const BuildContext& context);
Built build(const ops::StateStore& op, const BuildContext& context);
Built build(const ops::Attention& op, const BuildContext& context);
Built build(const ops::LatentAttention& op, const BuildContext& context);
Built build(const ops::Activation& op, const BuildContext& context);
Built build(const ops::Glu& op, const BuildContext& context);
Built build(const ops::Add& op, const BuildContext& context);
Built build(const ops::Scale& op, const BuildContext& context);
Built build(const ops::SelectRows& op, const BuildContext& context);
Built build(const ops::Route& op, const BuildContext& context);
Built build(const ops::ExpertMatMul& op, const BuildContext& context);
Built build(const ops::ExpertCombine& op, const BuildContext& context);

inline Built build(const Instruction& instruction, const BuildContext& context) {
  return std::visit([&](const auto& op) { return build(op, context); }, instruction);
}

/// A list of one kernel.
template <class OneKernel>
Built single(OneKernel kernel) {
  Kernels kernels;
  kernels.push_back(std::make_unique<const OneKernel>(std::move(kernel)));
  return kernels;
}

}  // namespace ingot::internal::cpu
