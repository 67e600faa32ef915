// What an Executable holds, and how it comes to be, for the files of this folder.
#pragma once

#include <memory>
#include <vector>

#include "ingot/session.hpp"
#include "src/device/device.hpp"

namespace ingot::internal {

/// A part of the program and the device that runs it.
struct Placed {
  const Device* device = nullptr;
  Range instructions;
  std::shared_ptr<const LoweredProgram> lowered;
  std::shared_ptr<const CompiledProgram> compiled;  ///< once loaded
};

/// A model on its devices, before its weights: what planning makes and loading goes on from.
struct Lowered {
  MemoryPlan plan;
  std::shared_ptr<const Program> program;
  std::vector<Placed> parts;  ///< one, today
  StepLimits limits;
  std::vector<std::int64_t> page_counts;  ///< pages of each state group
};

/// As plan_memory.
Lowered lower(const Model& model, const LoadOptions& options);

}  // namespace ingot::internal

namespace ingot {

struct Executable::Impl {
  std::shared_ptr<const Model> model;
  internal::Lowered lowered;
  DeviceInfo device;
  std::vector<std::string> warnings;
  std::shared_ptr<const internal::Weights> weights;

  const MemoryPlan& plan() const { return lowered.plan; }
  const internal::Program& program() const { return *lowered.program; }
  const internal::StepLimits& limits() const { return lowered.limits; }
  const internal::CompiledProgram& compiled() const { return *lowered.parts.front().compiled; }
};

}  // namespace ingot
