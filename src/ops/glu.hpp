// Glu: out = f(gate) * up, elementwise (Shazeer 2020).
#pragma once

#include "src/ops/activation.hpp"
#include "src/ops/op.hpp"

namespace ingot::ops {

struct Glu {
  static constexpr std::string_view kName = "glu";
  ActivationKind kind = ActivationKind::silu;
  ValueId gate;
  ValueId up;
  ValueId out;
};

Operands operands(const Glu& op);
void check(const Glu& op, const Program& program);
Cost cost(const Glu& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Glu& op);
void reference(const Glu& op, ReferenceStep& step);

}  // namespace ingot::ops
