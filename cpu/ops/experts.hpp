// What the kernels of ExpertMatMul share: the experts' weights, which of them a step touches, and
// where the prepared activations lie.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/ops/build.hpp"
#include "cpu/ops/choose.hpp"
#include "cpu/quant/packed.hpp"
#include "src/ops/expert_matmul.hpp"

namespace ingot::internal::cpu {

struct ExpertPart {
  WeightRows weight;  ///< of the first expert
  ProductPaths paths;
  std::int64_t expert_bytes = 0;
  const float* bias = nullptr;  ///< [experts, weight.rows] or null
  ValueId out;
  std::int64_t slice = kGroupRows;  ///< weight rows per task

  std::int64_t slices() const { return divide_up(weight.rows, slice); }
};

struct Experts {
  const KernelTable* table = nullptr;
  ValueId in;
  ValueId tokens;
  ValueId offsets;
  Rows rows = Rows::tokens;              ///< of the input
  Rows assignments = Rows::assignments;  ///< of the output
  std::int64_t columns = 0;
  std::int64_t count = 0;
  std::int64_t used = 0;  ///< per token
  std::vector<ExpertPart> parts;
  const Form* few = &forms::plain;   ///< of experts that have few rows, if any part wants a form
  const Form* many = &forms::plain;  ///< of those that have many

  Experts(const ops::ExpertMatMul& op, const BuildContext& context);

  bool per_token() const { return rows != assignments; }

  /// Whether panels want activations in another order than few rows do.
  bool has_own_panels() const {
    return many == &forms::integers_in_order && table->splits_activations;
  }

  /// Experts that a step can touch at most.
  std::int64_t most_touched(const StepContext& step) const {
    return std::min(count, step.input.rows(assignments));
  }

  /// The `index`-th expert that has rows, or `count` if there are fewer. Scanning a few hundred
  /// offsets costs nothing beside a task.
  std::int64_t find_touched(const StepContext& step, std::int64_t index) const;

  /// Of an expert, in grouped order.
  Range rows_of(const StepContext& step, std::int64_t expert) const {
    return ops::expert_rows(step.indices(offsets), expert, step.input.rows(assignments));
  }

  /// Per row in grouped order, the row of the input; first in the shared work space.
  std::int32_t* token_rows(const StepContext& step) const {
    return reinterpret_cast<std::int32_t*>(step.shared);
  }

  /// Rows in one piece, each from the place its token has: what an expert multiplies.
  ActivationRows activations(const StepContext& step, Range grouped) const;
};

/// Where things lie in the work space that an instruction's kernels share, in floats.
struct ExpertLayout {
  ExpertLayout(const Experts& experts, std::int64_t rows, std::int64_t assignments);
  ExpertLayout(const Experts& experts, const StepContext& step)
      : ExpertLayout(experts, step.input.rows(experts.rows), step.input.rows(experts.assignments)) {
  }

  /// Tiles of the `rank`-th expert with rows, whose first row in grouped order is `begin`: each
  /// expert before it may have filled up its last pair of tiles.
  std::int64_t tiles_of(std::int64_t begin, std::int64_t rank) const {
    return tiles + tile_floats(begin, rank);
  }
  std::int64_t tile_floats(std::int64_t rows, std::int64_t experts) const {
    return (rows + forms::tiles.rows * (experts + 1)) * columns / 2;
  }

  std::int64_t columns;
  std::int64_t integers;
  std::int64_t panels;  ///< the integers themselves where the order is the same
  std::int64_t tiles;
  std::int64_t end;
};

}  // namespace ingot::internal::cpu
