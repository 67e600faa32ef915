// How the encoders answer a request to stop.
#pragma once

#include <cstddef>

#include "ingot/cancel.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::tokenizer {

/// Looking that often costs nothing that can be measured and answers within milliseconds.
inline constexpr std::size_t kBytesBetweenChecks = std::size_t{1} << 14U;

inline void throw_if_cancelled(const Cancel& cancel) {
  if (cancel.requested()) fail(ErrorCode::cancelled, "encoding the text was cancelled");
}

}  // namespace ingot::internal::tokenizer
