// Activation: out = f(in), elementwise, with
//   sigmoid(x) = 1 / (1 + exp(-x)),
//   silu(x) = x / (1 + exp(-x)),
//   gelu(x) = x (1 + erf(x / sqrt 2)) / 2,
//   gelu_tanh(x) = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2  (Hendrycks & Gimpel 2016),
//   gelu_quick(x) = x / (1 + exp(-1.702 x))  (the same paper's sigmoid approximation).
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

enum class ActivationKind { silu, gelu, gelu_tanh, gelu_quick, sigmoid };

/// The function in double: the meaning every executor is tested against.
double apply(ActivationKind kind, double x);
std::string_view to_string(ActivationKind kind);

struct Activation {
  static constexpr std::string_view kName = "activation";
  ActivationKind kind = ActivationKind::silu;
  ValueId in;
  ValueId out;
};

Operands operands(const Activation& op);
void check(const Activation& op, const Program& program);
Cost cost(const Activation& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Activation& op);
void reference(const Activation& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
