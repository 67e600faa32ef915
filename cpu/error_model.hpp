// What the CPU's kernels round, for the paths that run.
#pragma once

#include <memory>

#include "cpu/dispatch/kernel_table.hpp"
#include "cpu/ops/choose.hpp"
#include "src/device/error_model.hpp"

namespace ingot::internal::cpu {

/// Refers to the program and the table.
std::unique_ptr<const ErrorModel> make_error_model(const Program& program, const KernelTable& table,
                                                   const Numerics& numerics);

}  // namespace ingot::internal::cpu
