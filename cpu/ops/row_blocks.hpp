// The rows of a step in blocks, as tasks of attention take them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/ops/attention.hpp"
#include "cpu/ops/kernel.hpp"

namespace ingot::internal::cpu {

/// Rows of one sequence that attention takes together.
struct RowBlock {
  const StepSequence* sequence = nullptr;
  std::int64_t first_row = 0;  ///< in the step
  std::int64_t rows = 0;
  std::int64_t first_position = 0;  ///< of the first row, in its sequence
};

class RowBlocks {
 public:
  /// `tasks` per block, of at most `most` rows: as many rows as leave every worker several tasks,
  /// which are unequal. A multiple of kQueryRows.
  RowBlocks(const StepContext& step, std::int64_t tasks, std::int64_t most) : input_(&step.input) {
    constexpr std::int64_t kTasksPerWorker = 4;
    const std::int64_t share =
        divide_up(step.input.rows(Rows::tokens) * tasks, step.workers * kTasksPerWorker);
    rows_ = std::min(divide_up(share, kQueryRows) * kQueryRows, most);
  }

  std::int64_t count() const {
    std::int64_t count = 0;
    for (const StepSequence& sequence : input_->sequences) {
      count += divide_up(sequence.row_count, rows_);
    }
    return count;
  }

  /// Block number `index`, counted from the end: the last rows of a prompt see the most, and handed
  /// out first they leave no long tail.
  RowBlock from_end(std::int64_t index) const {
    for (std::size_t s = input_->sequences.size(); s-- > 0;) {
      const StepSequence& sequence = input_->sequences[s];
      const std::int64_t blocks = divide_up(sequence.row_count, rows_);
      if (index < blocks) {
        const std::int64_t first = (blocks - 1 - index) * rows_;
        return {&sequence, sequence.first_row + first, std::min(rows_, sequence.row_count - first),
                sequence.cached + first};
      }
      index -= blocks;
    }
    return {};
  }

 private:
  const StepInput* input_;
  std::int64_t rows_;
};

}  // namespace ingot::internal::cpu
