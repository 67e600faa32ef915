// EmbedRows: out[t, :] = table[ids[t], :]. The ids are the step's.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct EmbedRows {
  static constexpr std::string_view kName = "embed_rows";
  WeightOperand table;  ///< [vocabulary, columns]
  ValueId out;          ///< [tokens, columns]
};

Operands operands(const EmbedRows& op);
void check(const EmbedRows& op, const Program& program);
Cost cost(const EmbedRows& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const EmbedRows& op);
void reference(const EmbedRows& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
