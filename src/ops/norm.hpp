// Norm: per group of `group_size` columns (the whole row, or one head),
//   rms:   out = in / sqrt(mean(in^2) + epsilon) * weight          (Zhang & Sennrich 2019)
//   layer: out = (in - mean) / sqrt(var + epsilon) * weight + bias (Ba et al. 2016)
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

enum class NormKind { rms, layer };

struct Norm {
  static constexpr std::string_view kName = "norm";
  NormKind kind = NormKind::rms;
  ValueId in;
  ValueId out;
  std::optional<WeightOperand> weight;  ///< F32 [group_size], shared by the groups, or [columns]
  std::optional<WeightOperand> bias;    ///< as weight
  double epsilon = 1e-5;
  std::int64_t group_size = 0;  ///< columns normalised together; divides the row
};

Operands operands(const Norm& op);
void check(const Norm& op, const Program& program);
Cost cost(const Norm& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Norm& op);
void reference(const Norm& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
