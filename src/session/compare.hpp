// The comparison behind compare_devices, of two executables however they came into being.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ingot/diff.hpp"

namespace ingot::internal {

/// Two executables of one program, loaded so that all tokens go through one step with all logits.
/// Bounds are for the weights of `b`.
std::vector<ValueDifference> compare(const std::shared_ptr<const Executable>& a,
                                     const std::shared_ptr<const Executable>& b,
                                     std::span<const TokenId> tokens);

}  // namespace ingot::internal
