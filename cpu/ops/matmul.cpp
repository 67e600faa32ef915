#include "src/ops/matmul.hpp"

#include <algorithm>
#include <vector>

#include "cpu/ops/build.hpp"
#include "cpu/ops/product.hpp"

namespace ingot::cpu {
namespace {

struct Part {
  WeightRows weight;
  const float* bias = nullptr;
  ValueId out;
};

// What both kernels know: the input and the weights that share it.
struct Shared {
  Shared(const ops::MatMul& op, const BuildContext& context)
      : table(&context.table),
        in(op.in),
        row_count(context.program.value(op.in).rows),
        columns(context.program.value(op.in).columns) {
    for (const ops::MatMul::Part& part : op.parts) {
      parts.push_back({context.rows(part.weight), context.vector(part.bias), part.out});
    }
  }

  // The path whose prepared activations `rows` rows need; parts that differ take them as they are.
  Path prepared_path(std::int64_t rows) const {
    for (const Part& part : parts) {
      const Path path = path_of(*table, *part.weight.format, rows);
      if (path != Path::floats) return path;
    }
    return Path::floats;
  }

  ActivationRows activations(const StepContext& step) const {
    return {step.value(in), columns, nullptr, step.input.rows(row_count), columns};
  }

  const KernelTable* table;
  ValueId in;
  Rows row_count;
  std::int64_t columns;
  std::vector<Part> parts;
};

class PrepareKernel final : public Kernel {
 public:
  explicit PrepareKernel(Shared shared) : shared_(std::move(shared)) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const std::int64_t most = shared_.row_count == Rows::tokens ? limits.tokens : limits.outputs;
    std::int64_t floats = 0;
    for (const std::int64_t rows : {std::min(most, kFewRows), most}) {
      floats =
          std::max(floats, prepared_floats(shared_.prepared_path(rows), rows, shared_.columns));
    }
    return {static_cast<std::uint64_t>(floats) * sizeof(float), 0};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t rows = step.input.rows(shared_.row_count);
    const Path path = shared_.prepared_path(rows);
    return path == Path::floats ? 0 : divide_up(rows, prepared_rows(path));
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const ActivationRows in = shared_.activations(step);
    prepare(*shared_.table, shared_.prepared_path(in.count), in, task, step.shared);
  }

 private:
  Shared shared_;
};

// All parts' products. A task is some weight rows of one part, times some activation rows.
class ProductKernel final : public Kernel {
 public:
  explicit ProductKernel(Shared shared) : shared_(std::move(shared)) {}

  WorkSpace work_space(const StepLimits&) const override {
    std::int64_t floats = 0;
    for (const Part& part : shared_.parts) {
      floats = std::max(floats, product_work_floats(*shared_.table, *part.weight.format));
    }
    return {0, static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t rows = step.input.rows(shared_.row_count);
    std::int64_t count = 0;
    for (const Part& part : shared_.parts) count += Tasks(*this, part, rows).count;
    return count;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    run_all(step, worker_space, {task, task + 1});
  }

  void run_all(const StepContext& step, float* worker_space, TaskRun run) const noexcept override {
    const ActivationRows in = shared_.activations(step);
    std::int64_t before = 0;  // tasks of earlier parts
    for (const Part& part : shared_.parts) {
      const Tasks tasks(*this, part, in.count);
      std::int64_t task = std::max<std::int64_t>(0, run.begin - before);
      const std::int64_t end = std::min(tasks.count, run.end - before);
      while (task < end) {
        const std::int64_t together = tasks.one_stream ? end - task : 1;
        multiply_part(step, worker_space, in, part, tasks, task, together);
        task += together;
      }
      before += tasks.count;
    }
  }

 private:
  // How a part is cut up in a step of `rows` rows.
  struct Tasks {
    Tasks(const ProductKernel& kernel, const Part& part, std::int64_t rows)
        : path(path_of(*kernel.shared_.table, *part.weight.format, rows)),
          shape(task_shape(path, part.weight)),
          weight_blocks(divide_up(part.weight.rows, shape.weight_rows)),
          count(weight_blocks * divide_up(rows, shape.rows)),
          one_stream(rows <= kFewRows) {}
    Path path;
    TaskShape shape;
    std::int64_t weight_blocks;  ///< all of them before the next rows, which stay in the cache
    std::int64_t count;
    bool one_stream;  // neighbours are one product over more weight rows
  };

  void multiply_part(const StepContext& step, float* worker_space, const ActivationRows& in,
                     const Part& part, const Tasks& tasks, std::int64_t task,
                     std::int64_t count) const noexcept {
    const std::int64_t first = task % tasks.weight_blocks * tasks.shape.weight_rows;
    const std::int64_t row = task / tasks.weight_blocks * tasks.shape.rows;
    const std::int64_t weight_rows =
        std::min(count * tasks.shape.weight_rows, part.weight.rows - first);
    Product product;
    product.path = tasks.path;
    product.weight = slice(part.weight, first, weight_rows);
    product.in = in;
    product.first_row = row;
    product.rows = std::min(tasks.shape.rows, in.count - row);
    product.prepared = step.shared;
    product.bias = part.bias == nullptr ? nullptr : part.bias + first;
    product.out = step.value(part.out) + row * part.weight.rows + first;
    product.out_stride = part.weight.rows;
    multiply(*shared_.table, product, worker_space);
  }

  Shared shared_;
};

}  // namespace

Built build(const ops::MatMul& op, const BuildContext& context) {
  const Shared shared(op, context);
  Kernels kernels;
  kernels.push_back(std::make_unique<const PrepareKernel>(shared));
  kernels.push_back(std::make_unique<const ProductKernel>(shared));
  return kernels;
}

}  // namespace ingot::cpu
