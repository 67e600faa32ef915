// Glu: out = f(gate) * up, elementwise (Shazeer 2020). A gate of one column counts for its whole
// row. With a limit L it is gpt-oss's clamped form: out = f(min(gate, L)) * (clamp(up, -L, L) + 1).
#pragma once

#include "src/ops/activation.hpp"
#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct Glu {
  static constexpr std::string_view kName = "glu";
  ActivationKind kind = ActivationKind::silu;
  ValueId gate;
  ValueId up;
  ValueId out;
  double limit = 0.0;  ///< 0: none
};

Operands operands(const Glu& op);
void check(const Glu& op, const Program& program);
Cost cost(const Glu& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Glu& op);
void reference(const Glu& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
