// Scale: out = factor * in, elementwise.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct Scale {
  static constexpr std::string_view kName = "scale";
  ValueId in;
  ValueId out;
  double factor = 1.0;
};

Operands operands(const Scale& op);
void check(const Scale& op, const Program& program);
Cost cost(const Scale& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Scale& op);
void reference(const Scale& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
