#include "cpu/ops/gated_matmul.hpp"

#include <algorithm>

#include "cpu/ops/conditional_kernel.hpp"
#include "cpu/ops/matmul_kernels.hpp"

namespace ingot::internal::cpu {
namespace {

/// Columns of the gated product that a task makes, on tiles: as many rows of gate and of up.
constexpr std::int64_t kTileColumnsOfEach = kTileWeightRows / 2;

/// Columns of a row that a task of few rows gates: about 1 us of work.
constexpr std::int64_t kPreparedColumns = 1024;

// What all kernels of the chain know.
struct Chain {
  const MatMulData::Part& part(ValueId out) const {
    return first.parts[first.parts[0].out == out ? 0 : 1];
  }
  const MatMulData::Part& gate() const { return part(op.gate); }
  const MatMulData::Part& up() const { return part(op.up); }

  // Where the gated product is made ready for the next product, from a row and column on.
  Prepared next_input(const StepContext& step, std::int64_t row, std::int64_t column) const {
    const std::int64_t rows = first.step_rows(step);
    return {.form = &next.form(rows),
            .first = step.shared + first.floats(rows),
            .columns = next.columns,
            .first_row = row,
            .first_column = column};
  }

  ops::Glu op;
  MatMulData first;
  MatMulData next;
};

using SharedChain = std::shared_ptr<const Chain>;

// Many rows. A task is some columns of the gated product: as many rows of gate and of up, times
// some activation rows.
class GatedKernel final : public Kernel {
 public:
  explicit GatedKernel(SharedChain chain) : chain_(std::move(chain)) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const MatMulData& first = chain_->first;
    const Tasks tasks(*chain_, kFewRows + 1);
    const std::int64_t sums = 2 * std::min(tasks.rows, limits.tokens) * tasks.columns;
    return {
        static_cast<std::uint64_t>(first.most_floats(limits) + chain_->next.most_floats(limits)) *
            sizeof(float),
        static_cast<std::uint64_t>(first.work_floats() + sums) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t rows = chain_->first.step_rows(step);
    const Tasks tasks(*chain_, rows);
    return tasks.blocks * divide_up(rows, tasks.rows);
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    run_all(step, worker_space, {task, task + 1});
  }

  void run_all(const StepContext& step, float* worker_space, TaskRun run) const noexcept override {
    const Tasks tasks(*chain_, chain_->first.step_rows(step));
    while (!run.empty()) {
      const std::int64_t together =
          tasks_together(tasks.may_be_one, run.begin, run.end, tasks.blocks);
      multiply(step, worker_space, tasks, run.begin, together);
      run.begin += together;
    }
  }

 private:
  // How the work is cut up in a step of `step_rows` rows.
  struct Tasks {
    Tasks(const Chain& chain, std::int64_t step_rows) : path(chain.gate().paths.of(step_rows)) {
      const WeightRows& gate = chain.gate().weight;
      const TaskShape shape = path.task_shape(gate);
      rows = shape.rows;
      // Prepared activations are in groups of 32 columns.
      columns = &path == &paths::tiles ? kTileColumnsOfEach : divide_up(shape.weight_rows, 32) * 32;
      blocks = divide_up(chain.next.columns, columns);
      may_be_one =
          multiplies_side_by_side(path, chain.next.form(step_rows), gate, chain.up().weight);
    }
    const Path& path;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t blocks = 0;  // all of them before the next rows, which stay in the cache
    bool may_be_one = false;  // neighbours of the same rows
  };

  void multiply(const StepContext& step, float* worker_space, const Tasks& tasks, std::int64_t task,
                std::int64_t count) const noexcept {
    const MatMulData& first = chain_->first;
    const ActivationRows in = first.activations(step);
    const std::int64_t row = task / tasks.blocks * tasks.rows;
    const std::int64_t column = task % tasks.blocks * tasks.columns;
    const std::int64_t rows = std::min(tasks.rows, in.count - row);
    const std::int64_t columns = std::min(count * tasks.columns, chain_->next.columns - column);
    const std::int64_t room = std::min(tasks.columns, columns);
    float* gate = worker_space;
    float* up = gate + rows * room;
    float* work = up + rows * room;
    Product product;
    product.in = in;
    product.first_row = row;
    product.rows = rows;
    product.prepared = step.shared;
    product.out_stride = columns;
    product.reused = true;
    const auto of_part = [&](const MatMulData::Part& part, float* out) {
      Product of = product;
      of.weight = slice(part.weight, column, columns);
      of.bias = part.bias == nullptr ? nullptr : part.bias + column;
      of.out = out;
      return of;
    };
    multiply_glu(tasks.path, *first.table, chain_->op, of_part(chain_->gate(), gate),
                 of_part(chain_->up(), up), chain_->next_input(step, row, column), work);
  }

  SharedChain chain_;
};

// Few rows: a task gates some columns of a row and makes them ready.
class GatedPrepareKernel final : public Kernel {
 public:
  explicit GatedPrepareKernel(SharedChain chain) : chain_(std::move(chain)) {}

  WorkSpace work_space(const StepLimits&) const override {
    return {0, kPreparedColumns * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return chain_->first.step_rows(step) * blocks();
  }

  void run(const StepContext& step, float* gated, std::int64_t task) const noexcept override {
    const std::int64_t row = task / blocks();
    const std::int64_t column = task % blocks() * kPreparedColumns;
    const std::int64_t columns = std::min(kPreparedColumns, chain_->next.columns - column);
    const std::int64_t at = row * chain_->next.columns + column;
    const ops::Glu& op = chain_->op;
    chain_->first.table->glu(op.kind, static_cast<float>(op.limit), step.value(op.gate) + at,
                             step.value(op.up) + at, gated, columns);
    prepare_all(*chain_->first.table, {gated, columns, nullptr, 1, columns},
                chain_->next_input(step, row, column));
  }

 private:
  std::int64_t blocks() const { return divide_up(chain_->next.columns, kPreparedColumns); }

  SharedChain chain_;
};

}  // namespace

std::optional<GatedMatMul> build_gated(const BeforeMatMul& before, const ops::MatMul& first,
                                       const ops::Glu& glu, const ops::MatMul& next,
                                       const BuildContext& context) {
  if (first.parts.size() != 2 || context.program.value(glu.out).columns % 32 != 0 ||
      !takes_prepared(next, context)) {
    return std::nullopt;
  }
  const auto chain = std::make_shared<const Chain>(
      Chain{glu, MatMulData(first, context), MatMulData(next, context)});
  if (chain->gate().paths != chain->up().paths) return std::nullopt;
  const std::shared_ptr<const MatMulData> first_data(chain, &chain->first);
  const std::shared_ptr<const MatMulData> next_data(chain, &chain->next);
  GatedMatMul out;
  const auto add = [&](std::shared_ptr<const Kernel> kernel, bool is_for_few) {
    out.gated.push_back(std::make_shared<const ConditionalKernel>(
        std::move(kernel), [first_data, is_for_few](const StepContext& step) {
          return (first_data->step_rows(step) <= kFewRows) == is_for_few;
        }));
  };
  out.gated.push_back(build_prepare(before, first_data, context));
  // Few rows: gate and up are products like any other. To read both weights in turns, for the sake
  // of their results, costs a tenth of the speed of memory.
  add(std::make_shared<const ProductKernel>(first_data), true);
  add(std::make_shared<const GatedPrepareKernel>(chain), true);
  add(std::make_shared<const GatedKernel>(chain), false);
  out.next.push_back(std::make_shared<const ProductKernel>(next_data, first_data));
  return out;
}

}  // namespace ingot::internal::cpu
