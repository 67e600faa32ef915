// Activation, Glu, Add and Scale work on ranges of elements: how many make a task.
#pragma once

#include <cstdint>

#include "src/ops/activation.hpp"

namespace ingot::internal::cpu {

/// 16 Ki f32 in, as many out: 128 KiB, about 10 us of work, well above the cost of handing it out.
inline constexpr std::int64_t kElementsPerTask = 16384;

}  // namespace ingot::internal::cpu
