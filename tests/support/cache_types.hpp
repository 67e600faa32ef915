// The types a cache can have.
#pragma once

#include "ingot/dtype.hpp"

namespace ingot::test {

inline constexpr DType kCacheTypes[] = {DType::F32, DType::F16, DType::BF16, DType::Q8_0,
                                        DType::Q4_0};

}  // namespace ingot::test
