#include "src/ops/activation.hpp"

#include <cmath>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

double apply(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::silu: return x / (1.0 + std::exp(-x));
    case ActivationKind::gelu: return 0.5 * x * (1.0 + std::erf(x * 0.70710678118654752440));
    case ActivationKind::gelu_tanh: {
      constexpr double kRootTwoOverPi = 0.79788456080286535588;
      return 0.5 * x * (1.0 + std::tanh(kRootTwoOverPi * (x + 0.044715 * x * x * x)));
    }
    case ActivationKind::gelu_quick: return x / (1.0 + std::exp(-1.702 * x));
    case ActivationKind::sigmoid: return 1.0 / (1.0 + std::exp(-x));
  }
  return x;
}

std::string_view to_string(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::silu: return "silu";
    case ActivationKind::gelu: return "gelu";
    case ActivationKind::gelu_tanh: return "gelu_tanh";
    case ActivationKind::gelu_quick: return "gelu_quick";
    case ActivationKind::sigmoid: return "sigmoid";
  }
  return "?";
}

Operands operands(const Activation& op) {
  Operands used;
  used.reads = {op.in};
  used.writes = {op.out};
  return used;
}

void check(const Activation& op, const Program& program) {
  require_same_shape(op, program, op.in, op.out);
}

Cost cost(const Activation& op, const Program& program, const StepShape& shape) {
  return elementwise_cost(op, program, shape, 4);
}

void print_attributes(std::ostream& out, const Activation& op) {
  out << to_string(op.kind);
}

void reference(const Activation& op, ReferenceStep& step) {
  const auto in = step.value(op.in).all();
  const auto out = step.value(op.out).all();
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = apply(op.kind, in[i]);
}

}  // namespace ingot::internal::ops
