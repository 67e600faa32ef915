// Routing: which experts each token uses, as the values that Route writes once per step and that
// ExpertMatMul and ExpertCombine read. Indices are exact small integers in f32 values, so that they
// live in the arena, print and can be tapped like any other value; steps are far below the 2^24
// assignments up to which that is exact.
//
// The tokens are those of the step, or those whose logits were asked for (Rows::outputs). An
// assignment is a token with one of its experts. Grouped order lists the assignments by expert,
// then by token: each expert's rows are neighbours, and it is read once per step.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/program/operands.hpp"

namespace ingot::internal::ops {

/// Assignments of a step whose indices an f32 holds exactly.
inline constexpr std::int64_t kMostAssignments = std::int64_t{1} << 24;

/// Experts per token, so that a step of the most tokens there can be (65536) stays below that.
inline constexpr std::int64_t kMostUsed = 256;

struct Routing {
  ValueId experts;  ///< [tokens, used] the token's experts, ascending
  ValueId weights;  ///< [tokens, used] what each expert's result counts
  ValueId places;   ///< [tokens, used] the assignment's row in grouped order
  ValueId tokens;   ///< [assignments, 1] per row in grouped order: its token
  ValueId offsets;  ///< [once, experts + 1] first row of each expert; ends with the number of rows
};

/// An index read from a value, forced into [0, size): a tap may have written anything there.
template <class Real>
constexpr std::int64_t safe_index(Real value, std::int64_t size) {
  const bool inside = value >= Real{0} && value < static_cast<Real>(size);
  return inside ? static_cast<std::int64_t>(value) : 0;
}

/// The rows of one expert in grouped order, inside [0, rows) whatever the offsets hold.
template <class Real>
constexpr Range expert_rows(const Real* offsets, std::int64_t expert, std::int64_t rows) {
  const std::int64_t begin = safe_index(offsets[expert], rows + 1);
  return {begin, std::max(begin, safe_index(offsets[expert + 1], rows + 1))};
}

}  // namespace ingot::internal::ops
