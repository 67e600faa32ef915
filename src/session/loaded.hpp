// What an Executable holds, for the files of this folder.
#pragma once

#include <memory>

#include "ingot/session.hpp"
#include "src/device/device.hpp"

namespace ingot {

struct Executable::Impl {
  std::shared_ptr<const Model> model;
  LoadOptions options;
  MemoryPlan plan;
  DeviceInfo device;
  std::shared_ptr<const internal::Program> program;
  std::shared_ptr<const internal::Weights> weights;
  std::unique_ptr<internal::CompiledProgram> compiled;
  internal::StepLimits limits;
  std::vector<std::int64_t> page_counts;  ///< pages of each state group
};

}  // namespace ingot

namespace ingot::internal {

/// The most one device step may have: rows as asked; logits rows so that the logits of a step take
/// at most 64 MiB (a 152k vocabulary has 0.6 MB per row).
StepLimits step_limits(const LoadOptions& options, const Program& program, std::int64_t context);

/// Per state group, the pages that hold every sequence at its full context.
std::vector<std::int64_t> page_counts(const Program& program, std::int64_t context,
                                      std::int64_t max_sequences, std::int64_t largest_step);

}  // namespace ingot::internal
