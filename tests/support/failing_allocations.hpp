// Memory that runs out at a chosen moment: the test program's operator new, told to fail once.
#pragma once

#include <cstdint>

namespace ingot::test {

/// From now on the allocation number `count` (0: the next one), of any thread, throws
/// std::bad_alloc; those behind it succeed again.
void fail_allocation(std::int64_t count);

/// No allocation fails any more. Returns whether one did.
bool stop_failing();

}  // namespace ingot::test
