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

  /// Page copies that come before the step.
  void copy_pages(const std::vector<GroupPageCopy>& copies) {
    input_.copies.insert(input_.copies.end(), copies.begin(), copies.end());
  }

  /// Appends rows `ids` of sequence number `sequence` of `states`, whose pages are reserved.
  void add(std::span<const std::int32_t> ids, const GroupedStates& states, std::int32_t sequence);

  /// Asks for an output of a row of the step; those that go through the head first.
  void add_output(std::int32_t row) { input_.output_rows.push_back(row); }
  /// So many of the outputs go through the head.
  void set_head_rows(std::int64_t count) { input_.head_rows = count; }

  /// The step, with its angle tables.
  StepInput finish();

 private:
  const Program& program_;
  StepInput input_;
  std::vector<std::vector<std::int32_t>> page_tables_;  ///< per state group
};

}  // namespace ingot::internal
