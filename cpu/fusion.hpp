// Which neighbouring instructions run as one: kernels that keep what lies between them out of
// memory. A step with a tap for every value runs the instructions one by one, with the same bits.
#pragma once

#include <vector>

#include "cpu/executable.hpp"

namespace ingot::internal::cpu {

/// What runs in the place of the instructions from `first` to the last part's index.
struct Fusion {
  std::size_t first = 0;
  std::vector<CompiledInstruction> parts;
};

/// In the program's order, apart from each other.
std::vector<Fusion> find_fusions(const BuildContext& context);

/// The instructions [begin, end) of each part that stands for more than one.
std::vector<Range> fused_groups(const std::vector<CompiledInstruction>& parts);

}  // namespace ingot::internal::cpu
