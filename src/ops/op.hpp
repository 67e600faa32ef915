// What every operation's header needs. An operation `X` is a struct in its own file with
//   operands(X)                  what it reads and writes
//   check(X, Program)            its argument and shape rule (Error internal)
//   cost(X, Program, StepShape)  flops and bytes of one step
//   print_attributes(out, X)     what the printer shows beside the operands
//   reference(X, ReferenceStep)  its meaning, in double
#pragma once

#include <iosfwd>
#include <optional>
#include <string_view>
#include <vector>

#include "src/program/operands.hpp"

namespace ingot::internal {

struct Program;
class ReferenceStep;
template <class Element>
struct MatrixOf;
using Matrix = MatrixOf<double>;
struct StepShape;
struct Cost;

}  // namespace ingot::internal
