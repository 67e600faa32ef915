// Liveness: which bytes of one arena hold which value, so that values whose lives do not overlap
// share memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/program/program.hpp"

namespace ingot::internal {

struct Lifetime {
  int first = 0;  ///< instruction that writes the value
  int last = 0;   ///< last instruction that reads it (or first, if none does)
};

/// Per value of the program. Hidden rows and logits live to the end.
std::vector<Lifetime> lifetimes(const Program& program);

struct ArenaPlan {
  std::vector<std::uint64_t>
      offsets;                 ///< per value, in elements; multiples of 16 (64 bytes of f32 or i32)
  std::uint64_t elements = 0;  ///< size of the arena
};

/// `out` may be written where `in` is, by an instruction that reads `in`: they have one shape and
/// type.
struct InPlace {
  ValueId out;
  ValueId in;
};

/// Places every value of a step with at most so many rows. `in_place`, in the order of the program:
/// pairs that share memory where the instruction is the last that reads `in`.
ArenaPlan plan_arena(const Program& program, const RowCounts& most,
                     std::span<const InPlace> in_place = {});

}  // namespace ingot::internal
