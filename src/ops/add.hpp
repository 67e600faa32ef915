// Add: out = left + right, elementwise.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct Add {
  static constexpr std::string_view kName = "add";
  ValueId left;
  ValueId right;
  ValueId out;
};

Operands operands(const Add& op);
void check(const Add& op, const Program& program);
Cost cost(const Add& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Add& op);
void reference(const Add& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
