#include "ingot/version.hpp"

namespace ingot {

std::string_view version() noexcept {
  return kVersion;
}

}  // namespace ingot
