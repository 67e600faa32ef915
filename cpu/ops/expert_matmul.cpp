#include "src/ops/expert_matmul.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"
#include "cpu/ops/product.hpp"
#include "cpu/quant/packed.hpp"

namespace ingot::cpu {
namespace {

struct Part {
  WeightRows weight;  ///< of the first expert
  std::int64_t expert_bytes = 0;
  const float* bias = nullptr;  ///< [experts, weight.rows] or null
  ValueId out;
  std::int64_t slice = kGroupRows;  ///< weight rows per task

  std::int64_t slices() const { return divide_up(weight.rows, slice); }
};

/// What the kernels of one instruction share.
struct Experts {
  const KernelTable* table = nullptr;
  ValueId in;
  ValueId tokens;
  ValueId offsets;
  Rows rows = Rows::tokens;  ///< of the input
  std::int64_t columns = 0;
  std::int64_t count = 0;
  std::int64_t used = 0;  ///< per token
  std::vector<Part> parts;
  bool any_lanes = false;    ///< some part can multiply integers
  Path many = Path::floats;  ///< how experts of many rows prepare them, where they do

  Experts(const ops::ExpertMatMul& op, const BuildContext& context)
      : table(&context.table),
        in(op.in),
        tokens(op.routing.tokens),
        offsets(op.routing.offsets),
        rows(context.program.value(op.in).rows),
        columns(context.program.value(op.in).columns),
        count(context.program.value(op.routing.offsets).columns - 1),
        used(context.program.experts_used) {
    for (const ops::ExpertMatMul::Part& given : op.parts) {
      Part part;
      part.weight = context.rows(given.weight);
      part.expert_bytes = context.program.tensor(given.weight.tensor).rows * part.weight.row_bytes;
      part.bias = context.vector(given.bias);
      part.out = given.out;
      // Whole stripes of tiles, for experts of few rows and of many alike: half a stripe would be
      // multiplied at half the speed.
      const std::int64_t stream = 2 * task_shape(Path::integers, part.weight).weight_rows;
      part.slice = std::clamp(stream / kStripeRows * kStripeRows, kStripeRows, kTileWeightRows);
      any_lanes = any_lanes || part.weight.format->lanes != nullptr;
      const Path path = path_of(*table, *part.weight.format, kFewRows + 1);
      if (path != Path::floats) many = path;
      parts.push_back(part);
    }
  }

  bool per_token() const { return rows == Rows::tokens; }

  /// Experts that a step can touch at most.
  std::int64_t most_touched(const StepContext& step) const {
    return std::min(count, step.input.rows(Rows::assignments));
  }

  Range rows_of(const StepContext& step, std::int64_t expert) const {
    return ops::expert_rows(step.value(offsets), expert, step.input.rows(Rows::assignments));
  }

  /// Per row in grouped order, the row of the input; first in the shared work space.
  std::int32_t* token_rows(const StepContext& step) const {
    return reinterpret_cast<std::int32_t*>(step.shared);
  }
};

/// Where things lie in the work space that an instruction's kernels share, in floats.
struct Layout {
  Layout(const Experts& experts, std::int64_t rows, std::int64_t assignments)
      : columns(experts.columns),
        integers(divide_up(assignments, 16) * 16),
        panels(integers + (experts.any_lanes ? prepared_floats(Path::integers, rows, columns) : 0)),
        tiles(panels +
              (experts.many == Path::panels ? prepared_floats(Path::panels, rows, columns) : 0)),
        end(tiles + (experts.many == Path::tiles
                         ? tile_floats(assignments, std::min(experts.count, assignments))
                         : 0)) {}
  Layout(const Experts& experts, const StepContext& step)
      : Layout(experts, step.input.rows(experts.rows), step.input.rows(Rows::assignments)) {}

  /// Tiles of the `rank`-th expert with rows, whose first row in grouped order is `begin`: each
  /// expert before it may have filled up its last pair of tiles.
  std::int64_t tiles_of(std::int64_t begin, std::int64_t rank) const {
    return tiles + tile_floats(begin, rank);
  }
  std::int64_t tile_floats(std::int64_t rows, std::int64_t experts) const {
    return (rows + prepared_rows(Path::tiles) * (experts + 1)) * columns / 2;
  }

  std::int64_t columns;
  std::int64_t integers;
  std::int64_t panels;
  std::int64_t tiles;
  std::int64_t end;
};

// Rows in one piece, each from the place its token has: what an expert multiplies.
ActivationRows rows_of_expert(const Experts& experts, const StepContext& step, Range rows) {
  ActivationRows in;
  in.stride = experts.columns;
  in.columns = experts.columns;
  in.count = rows.size();
  in.first = step.value(experts.in);
  if (experts.per_token()) {
    in.index = experts.token_rows(step) + rows.begin;
  } else {
    in.first += rows.begin * experts.columns;
  }
  return in;
}

// The `index`-th expert that has rows, or `count` if there are fewer. Scanning a few hundred
// offsets costs nothing beside a task.
std::int64_t find_touched(const Experts& experts, const StepContext& step, std::int64_t index) {
  for (std::int64_t e = 0; e < experts.count; ++e) {
    if (experts.rows_of(step, e).size() > 0 && index-- == 0) return e;
  }
  return experts.count;
}

// The rows' places in the input, as integers.
class IndexKernel final : public Kernel {
 public:
  explicit IndexKernel(const Experts& experts) : experts_(experts) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return experts_.per_token() && step.input.rows(Rows::assignments) > 0 ? 1 : 0;
  }

  void run(const StepContext& step, float*, std::int64_t) const noexcept override {
    const std::int64_t rows = step.input.rows(Rows::tokens);
    const float* tokens = step.value(experts_.tokens);
    std::int32_t* out = experts_.token_rows(step);
    for (std::int64_t r = 0; r < step.input.rows(Rows::assignments); ++r) {
      out[r] = static_cast<std::int32_t>(ops::safe_index(tokens[r], rows));
    }
  }

 private:
  Experts experts_;
};

// Quantizes the input's rows, each once, whatever the number of its experts; and brings the rows of
// experts that have many into tiles.
class PrepareKernel final : public Kernel {
 public:
  explicit PrepareKernel(const Experts& experts) : experts_(experts) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const std::int64_t assignments = limits.tokens * experts_.used;
    const std::int64_t rows =
        count_rows(experts_.rows, limits.tokens, limits.outputs, experts_.used);
    const Layout layout(experts_, rows, assignments);
    return {static_cast<std::uint64_t>(layout.end) * sizeof(float), 0};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return row_tasks(step) + (has_many(step, Path::tiles) ? experts_.most_touched(step) : 0);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const Layout layout(experts_, step);
    if (task >= row_tasks(step)) return fill_tiles(step, layout, task - row_tasks(step));
    const ActivationRows in = {step.value(experts_.in), experts_.columns, nullptr,
                               step.input.rows(experts_.rows), experts_.columns};
    for (std::int64_t r = task * kRowsPerTask; r < std::min(in.count, (task + 1) * kRowsPerTask);
         ++r) {
      prepare(*experts_.table, in, r,
              {Path::integers, step.shared + layout.integers, experts_.columns});
      if (has_many(step, Path::panels)) {
        prepare(*experts_.table, in, r,
                {Path::panels, step.shared + layout.panels, experts_.columns});
      }
    }
  }

 private:
  static constexpr std::int64_t kRowsPerTask = 4;

  // Rows of an expert of many are quantized in vain; it costs little beside their products.
  std::int64_t row_tasks(const StepContext& step) const {
    return experts_.any_lanes ? divide_up(step.input.rows(experts_.rows), kRowsPerTask) : 0;
  }

  // A token uses an expert at most once, so few tokens are few rows of each.
  bool has_many(const StepContext& step, Path path) const {
    return experts_.many == path && step.input.rows(Rows::tokens) > kFewRows;
  }

  void fill_tiles(const StepContext& step, const Layout& layout, std::int64_t rank) const {
    const std::int64_t expert = find_touched(experts_, step, rank);
    if (expert == experts_.count) return;
    const Range rows = experts_.rows_of(step, expert);
    if (rows.size() <= kFewRows) return;
    prepare_all(*experts_.table, rows_of_expert(experts_, step, rows),
                {Path::tiles, step.shared + layout.tiles_of(rows.begin, rank), experts_.columns});
  }

  Experts experts_;
};

/// One slice of one expert's weight times all rows of that expert: the weight is read (and, for
/// many rows, decoded) once in a step.
struct ExpertSlice {
  const Part& part;
  std::int64_t expert = 0;
  std::int64_t rank = 0;   ///< among the experts that have rows
  std::int64_t first = 0;  ///< weight row
  std::int64_t count = 0;  ///< weight rows
  Range rows;              ///< in grouped order
};

void multiply_slice(const Experts& experts, const StepContext& step, const ExpertSlice& slice,
                    float* worker_space) {
  const Part& part = slice.part;
  const Layout layout(experts, step);
  Product product;
  product.path = path_of(*experts.table, *part.weight.format, slice.rows.size());
  WeightRows expert = part.weight;
  expert.first += slice.expert * part.expert_bytes;
  product.weight = ingot::cpu::slice(expert, slice.first, slice.count);
  product.in = rows_of_expert(experts, step, slice.rows);
  if (product.path == Path::tiles) {
    product.prepared = step.shared + layout.tiles_of(slice.rows.begin, slice.rank);
  } else if (product.path != Path::floats) {
    // Prepared in the order of the input.
    product.prepared =
        step.shared + (product.path == Path::integers ? layout.integers : layout.panels);
    product.prepared_index = product.in.index;
    if (product.in.index == nullptr) {
      product.prepared += prepared_floats(product.path, slice.rows.begin, experts.columns);
    }
  }
  if (part.bias != nullptr) {
    product.bias = part.bias + slice.expert * part.weight.rows + slice.first;
  }
  float* out = step.value(part.out) + slice.rows.begin * part.weight.rows + slice.first;
  product.out_stride = part.weight.rows;
  const std::int64_t step_rows = task_shape(product.path, part.weight).rows;
  for (std::int64_t r = 0; r < slice.rows.size(); r += step_rows) {
    product.first_row = r;
    product.rows = std::min(step_rows, slice.rows.size() - r);
    product.out = out + r * product.out_stride;
    multiply(*experts.table, product, worker_space);
  }
}

// A task is a slice of one expert's weight, however many rows it has: a hot expert is shared among
// the threads as well as many cold ones.
class ExpertProductKernel final : public Kernel {
 public:
  explicit ExpertProductKernel(const Experts& experts) : experts_(experts) {
    for (const Part& part : experts_.parts) slices_ += part.slices();
  }

  WorkSpace work_space(const StepLimits&) const override {
    std::int64_t floats = 0;
    for (const Part& part : experts_.parts) {
      floats = std::max(floats, product_work_floats(*experts_.table, *part.weight.format));
    }
    return {0, static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return experts_.most_touched(step) * slices_;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t expert = find_touched(experts_, step, task / slices_);
    if (expert == experts_.count) return;
    std::int64_t slice = task % slices_;
    for (const Part& part : experts_.parts) {
      if (slice >= part.slices()) {
        slice -= part.slices();
        continue;
      }
      const std::int64_t first = slice * part.slice;
      multiply_slice(experts_, step,
                     {.part = part,
                      .expert = expert,
                      .rank = task / slices_,
                      .first = first,
                      .count = std::min(part.slice, part.weight.rows - first),
                      .rows = experts_.rows_of(step, expert)},
                     worker_space);
      return;
    }
  }

 private:
  Experts experts_;
  std::int64_t slices_ = 0;
};

}  // namespace

Built build(const ops::ExpertMatMul& op, const BuildContext& context) {
  const Experts experts(op, context);
  Kernels kernels;
  kernels.push_back(std::make_unique<const IndexKernel>(experts));
  kernels.push_back(std::make_unique<const PrepareKernel>(experts));
  kernels.push_back(std::make_unique<const ExpertProductKernel>(experts));
  return kernels;
}

}  // namespace ingot::cpu
