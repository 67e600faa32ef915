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
  std::shared_ptr<const Program> program;
  std::shared_ptr<const Weights> weights;
  std::unique_ptr<CompiledProgram> compiled;
  StepLimits limits;
};

/// The most one device step may have: rows as asked; logits rows so that the logits of a step take
/// at most 64 MiB (a 152k vocabulary has 0.6 MB per row).
StepLimits step_limits(const LoadOptions& options, const Program& program, std::int64_t context);

/// Pages that hold every sequence at its full context.
std::int64_t page_count(const MemoryPlan& plan);

}  // namespace ingot
