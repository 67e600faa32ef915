// A mapped file that lost its bytes.
#pragma once

namespace ingot::tools {

/// Model files are mapped: when another program shortens one, or its disk fails, touching the
/// missing bytes raises SIGBUS, which says nothing by itself. From now on the program then names
/// the file on stderr and exits with kFailure. A SIGBUS elsewhere than in a mapped file stays what
/// it is.
void report_bus_errors();

}  // namespace ingot::tools
