#include <algorithm>

#include "cpu/ops/norm_matmul.hpp"

namespace ingot::internal::cpu {

MatMulData::MatMulData(const ops::MatMul& op, const BuildContext& context)
    : table(&context.table),
      in(op.in),
      row_count(context.program.value(op.parts.front().out).rows),
      columns(context.program.value(op.in).columns) {
  for (const ops::MatMul::Part& part : op.parts) {
    const WeightRows weight = context.rows(part.weight);
    parts.push_back({weight, context.paths(*weight.format), context.vector(part.bias), part.out});
  }
}

const Form& MatMulData::form(std::int64_t rows) const {
  for (const Part& part : parts) {
    const Form* form = part.paths.of(rows).form;
    if (form != &forms::plain) return *form;
  }
  return forms::plain;
}

std::int64_t MatMulData::most_floats(const StepLimits& limits) const {
  const std::int64_t most = limits.row_counts(0).of(row_count);
  return std::max(floats(std::min(most, kFewRows)), floats(most));
}

std::int64_t MatMulData::work_floats() const {
  std::int64_t most = 0;
  for (const Part& part : parts) {
    most = std::max(most, part.paths.work_floats());
  }
  return most;
}

WorkSpace PrepareKernel::work_space(const StepLimits& limits) const {
  return {static_cast<std::uint64_t>(data_->most_floats(limits)) * sizeof(float), 0};
}

std::int64_t PrepareKernel::task_count(const StepContext& step) const noexcept {
  const std::int64_t rows = data_->step_rows(step);
  const Form& form = data_->form(rows);
  return &form == &forms::plain ? 0 : divide_up(rows, form.rows);
}

void PrepareKernel::run(const StepContext& step, float*, std::int64_t task) const noexcept {
  const ActivationRows in = data_->activations(step);
  const Form& form = data_->form(in.count);
  form.prepare(*data_->table, in, task, {&form, step.shared, data_->columns});
}

// How a part's product with a block of activation rows is cut up, in a step of `rows` rows.
struct ProductKernel::Tasks {
  Tasks(const MatMulData::Part& part, std::int64_t rows)
      : path(part.paths.of(rows)),
        shape(path.task_shape(part.weight)),
        count(divide_up(part.weight.rows, shape.weight_rows)) {}
  const Path& path;
  TaskShape shape;
  std::int64_t count;
};

// Blocks of activation rows one after the other, and of each all parts: what a worker multiplies
// next has the activations that its cache has.
struct ProductKernel::Blocks {
  Blocks(const MatMulData& data, std::int64_t all_rows) {
    for (const MatMulData::Part& part : data.parts) {
      const Tasks part_tasks(part, all_rows);
      tasks += part_tasks.count;
      // The same of every part: few rows are one block on any path, and paths of more take as many
      // at a time.
      rows = part_tasks.shape.rows;
    }
    count = divide_up(all_rows, rows);
  }
  std::int64_t tasks = 0;  // of a block
  std::int64_t rows = 1;
  std::int64_t count = 0;
};

WorkSpace ProductKernel::work_space(const StepLimits&) const {
  return {0, static_cast<std::uint64_t>(data_->work_floats()) * sizeof(float)};
}

std::int64_t ProductKernel::task_count(const StepContext& step) const noexcept {
  const Blocks blocks(*data_, data_->step_rows(step));
  return blocks.count * blocks.tasks;
}

void ProductKernel::run(const StepContext& step, float* worker_space,
                        std::int64_t task) const noexcept {
  run_all(step, worker_space, {task, task + 1});
}

void ProductKernel::run_all(const StepContext& step, float* worker_space,
                            TaskRun run) const noexcept {
  const ActivationRows in = data_->activations(step);
  const Blocks blocks(*data_, in.count);
  for (std::int64_t block = run.begin / blocks.tasks; !run.empty(); ++block) {
    const std::int64_t row = block * blocks.rows;
    std::int64_t before = block * blocks.tasks;
    for (const MatMulData::Part& part : data_->parts) {
      const Tasks tasks(part, in.count);
      const std::int64_t end = std::min(before + tasks.count, run.end);
      while (run.begin < end) {
        const std::int64_t task = run.begin - before;
        const std::int64_t together =
            tasks_together(tasks.path.may_be_one, task, end - before, tasks.count);
        multiply_part(step, worker_space, in, part, tasks, row, task, together);
        run.begin += together;
      }
      before += tasks.count;
    }
  }
}

void ProductKernel::multiply_part(const StepContext& step, float* worker_space,
                                  const ActivationRows& in, const MatMulData::Part& part,
                                  const Tasks& tasks, std::int64_t row, std::int64_t task,
                                  std::int64_t count) const noexcept {
  const std::int64_t first = task * tasks.shape.weight_rows;
  const std::int64_t weight_rows =
      std::min(count * tasks.shape.weight_rows, part.weight.rows - first);
  Product product;
  product.weight = slice(part.weight, first, weight_rows);
  product.in = in;
  product.first_row = row;
  product.rows = std::min(tasks.shape.rows, in.count - row);
  product.prepared = step.shared + (before_ == nullptr ? 0 : before_->floats(in.count));
  product.bias = part.bias == nullptr ? nullptr : part.bias + first;
  product.out = step.value(part.out) + row * part.weight.rows + first;
  product.out_stride = part.weight.rows;
  tasks.path.multiply(*data_->table, product, worker_space);
}

Built build(const ops::MatMul& op, const BuildContext& context) {
  return build_behind({}, op, context);
}

}  // namespace ingot::internal::cpu
