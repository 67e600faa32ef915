// How pages lie in host memory.
#pragma once

#include <cstdint>

namespace ingot::internal {

/// Pages of which a KV head's parts lie side by side: who reads a head's pages in order reads
/// memory in long streams. Not all pages of a pool: memory is committed in huge pages, and a short
/// sequence would take one for each head.
inline constexpr std::int64_t kBundlePages = 16;

}  // namespace ingot::internal
