// Rope: rotates pairs of each head by angles that one per-step table holds (Su et al. 2021). With
// (c, s) = table[t, i] and a, b the pair i of a head:  a' = a c - b s,  b' = a s + b c.
// Scaling variants (linear, YaRN, llama3) and the magnitude live in the table, in no executor.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

enum class RopeLayout {
  norm,  ///< pair i is columns 2i, 2i + 1 of the rotary part
  neox,  ///< pair i is columns i, i + rotary_size / 2
};

struct Rope {
  static constexpr std::string_view kName = "rope";
  ValueId in;
  ValueId out;
  std::int32_t table = 0;  ///< index into Program::rope_tables
  RopeLayout layout = RopeLayout::norm;
  std::int64_t head_size = 0;      ///< columns of a head; divides the row
  std::int64_t rotary_size = 0;    ///< columns of a head that turn; the rest are copied
  std::int64_t rotary_offset = 0;  ///< first column that turns
};

Operands operands(const Rope& op);
void check(const Rope& op, const Program& program);
Cost cost(const Rope& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const Rope& op);
void reference(const Rope& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
