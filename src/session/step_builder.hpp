// From sequences and ids to the plain data of one device step.
#pragma once

#include <span>

#include "src/program/program.hpp"
#include "src/program/step.hpp"

namespace ingot {

class StepBuilder {
 public:
  explicit StepBuilder(const Program& program) : program_(program) {}

  /// Appends rows `ids` of a sequence that has `cached` positions; `outputs` are indices into
  /// `ids`.
  void add(std::span<const std::int32_t> ids, std::int64_t cached,
           std::span<const std::int32_t> pages, std::span<const std::int32_t> outputs);

  /// The step, with its angle tables.
  StepInput finish();

 private:
  const Program& program_;
  StepInput input_;
};

}  // namespace ingot
