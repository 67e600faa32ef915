// Which target's kernels this machine runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpu/dispatch/kernel_table.hpp"

namespace ingot::internal::cpu {

/// The targets of this build that this processor can run, the best first.
std::vector<const KernelTable*> available_targets();

/// The target named `forced`, or the best when it is empty. Error invalid_argument naming what this
/// machine has.
const KernelTable& select_target(std::string_view forced);

/// select_target of the environment variable INGOT_CPU_ISA.
const KernelTable& select_target();

/// The processor's own name, e.g. "AMD EPYC 9554".
std::string processor_name();

}  // namespace ingot::internal::cpu
