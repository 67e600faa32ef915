// Memory that costs nothing until it is written, on huge pages where the system has them: weights
// are read from end to end for each token, caches in far-apart pages of many layers, and work space
// in many places at once, so that small pages would spend a share of that on address translation.
#pragma once

#include <cstddef>
#include <memory>

namespace ingot::internal {

struct UnmapMemory {
  std::size_t bytes = 0;
  void operator()(std::byte* memory) const;
};
using LazyMemory = std::unique_ptr<std::byte, UnmapMemory>;

/// `bytes` zeros (at least one); null if the system refuses.
LazyMemory map_lazily(std::size_t bytes);

}  // namespace ingot::internal
