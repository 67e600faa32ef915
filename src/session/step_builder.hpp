// From sequences and ids to the plain data of one device step.
#pragma once

#include <span>

#include "src/program/program.hpp"
#include "src/program/step.hpp"
#include "src/state/grouped_states.hpp"

namespace ingot::internal {

class StepBuilder {
 public:
  explicit StepBuilder(const Program& program)
      : program_(program), page_tables_(program.state_groups.size()) {}

  /// Appends rows `ids` of sequence number `sequence` of `states`, whose pages are reserved;
  /// `outputs` are indices into `ids`.
  void add(std::span<const std::int32_t> ids, const GroupedStates& states, std::int32_t sequence,
           std::span<const std::int32_t> outputs);

  /// The step, with its angle tables.
  StepInput finish();

 private:
  const Program& program_;
  StepInput input_;
  std::vector<std::vector<std::int32_t>> page_tables_;  ///< per state group
};

}  // namespace ingot::internal
