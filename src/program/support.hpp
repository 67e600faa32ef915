// Whether a device can run something: a variant, so that no answer is forgotten.
#pragma once

#include <string>
#include <variant>

namespace ingot::internal {

/// "I do."
struct Supported {};

/// "I can't", and why, in words that end the sentence "device D cannot run instruction I: ...".
struct Unsupported {
  std::string reason;
};

using Support = std::variant<Supported, Unsupported>;

}  // namespace ingot::internal
