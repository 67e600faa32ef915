// Routing: which experts each token uses, as the values that Route writes once per step and that
// ExpertMatMul and ExpertCombine read. All but the weights are indices (ValueType::i32), which live
// in the arena, print and can be tapped like any other value.
//
// The tokens are those of the step, or those whose logits were asked for (Rows::outputs). An
// assignment is a token with one of its experts. Grouped order lists the assignments by expert,
// then by token: each expert's rows are neighbours, and it is read once per step.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/program/operands.hpp"

namespace ingot::internal::ops {

/// Experts per token: the assignments of a step of the most tokens there can be (65536) are far
/// from the end of 32 bits.
inline constexpr std::int64_t kMostUsed = 256;

struct Routing {
  ValueId experts;  ///< i32 [tokens, used] the token's experts, ascending
  ValueId weights;  ///< f32 [tokens, used] what each expert's result counts
  ValueId places;   ///< i32 [tokens, used] the assignment's row in grouped order
  ValueId tokens;   ///< i32 [assignments, 1] per row in grouped order: its token
  ValueId offsets;  ///< i32 [once, experts + 1] first row of each expert; ends with their number
};

/// An index read from a value, forced into [0, size): a tap may have written anything there.
constexpr std::int64_t safe_index(std::int32_t value, std::int64_t size) {
  return value >= 0 && value < size ? value : 0;
}

/// The rows of one expert in grouped order, inside [0, rows) whatever the offsets hold.
constexpr Range expert_rows(const std::int32_t* offsets, std::int64_t expert, std::int64_t rows) {
  const std::int64_t begin = safe_index(offsets[expert], rows + 1);
  return {begin, std::max(begin, safe_index(offsets[expert + 1], rows + 1))};
}

}  // namespace ingot::internal::ops
