// Amounts of memory as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ingot::tools {

/// Bytes of "8589934592", "8GiB", "8 GiB", "8G", "1.5g", "8GB" (decimal: 8 * 10^9) and so on from B
/// to E, letters of either case; a bare letter means the binary unit, as for dd, systemd and
/// Docker. A fraction of a byte is dropped. Nothing for anything else, and for what 64 bits do not
/// hold.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace ingot::tools
