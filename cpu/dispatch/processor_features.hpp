// What the compiler's run-time checks do not know of this processor.
#pragma once

namespace ingot::internal::cpu {

/// Conversions between f16 and f32 (F16C). False on other architectures.
bool has_f16c();

/// AMX tiles with bf16 products, and the system lets this process use them. Asks the system for
/// that permission, which it gives once per process and for all its threads: Linux saves the 8 KiB
/// of tiles only for processes that have asked.
bool allows_amx();

}  // namespace ingot::internal::cpu
