// SelectRows: out[i, :] = in[output_rows[i], :]: from here on only rows that want logits.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct SelectRows {
  static constexpr std::string_view kName = "select_rows";
  ValueId in;   ///< [tokens, columns]
  ValueId out;  ///< [outputs, columns]
};

Operands operands(const SelectRows& op);
void check(const SelectRows& op, const Program& program);
Cost cost(const SelectRows& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const SelectRows& op);
void reference(const SelectRows& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
