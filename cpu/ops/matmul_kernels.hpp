// The kernels of MatMul: activations made ready once, then all products with them. Where
// instructions are fused (gated_matmul.hpp), another kernel makes them ready.
#pragma once

#include <memory>
#include <vector>

#include "cpu/ops/build.hpp"
#include "cpu/ops/choose.hpp"
#include "src/ops/matmul.hpp"

namespace ingot::internal::cpu {

/// An input and the weights that share it.
struct MatMulData {
  struct Part {
    WeightRows weight;
    ProductPaths paths;
    const float* bias = nullptr;
    ValueId out;
  };

  MatMulData(const ops::MatMul& op, const BuildContext& context);

  /// The form that the products of `rows` rows want; parts that differ take them as they are.
  const Form& form(std::int64_t rows) const;

  /// Floats of `rows` prepared rows.
  std::int64_t floats(std::int64_t rows) const { return form(rows).floats(rows, columns); }
  /// The most that a step within the limits needs.
  std::int64_t most_floats(const StepLimits& limits) const;

  /// Floats that a worker needs for a task of any part.
  std::int64_t work_floats() const;

  std::int64_t step_rows(const StepContext& step) const { return step.input.rows(row_count); }
  ActivationRows activations(const StepContext& step) const {
    return {step.value(in), columns, nullptr, step_rows(step), columns};
  }

  const KernelTable* table;
  ValueId in;
  Rows row_count;
  std::int64_t columns;
  std::vector<Part> parts;
};

/// Prepares the input, at the begin of the shared work space.
class PrepareKernel final : public Kernel {
 public:
  explicit PrepareKernel(std::shared_ptr<const MatMulData> data) : data_(std::move(data)) {}

  WorkSpace work_space(const StepLimits& limits) const override;
  std::int64_t task_count(const StepContext& step) const noexcept override;
  void run(const StepContext& step, float*, std::int64_t task) const noexcept override;

 private:
  std::shared_ptr<const MatMulData> data_;
};

/// All parts' products. A task is some weight rows of one part, times a block of activation rows.
class ProductKernel final : public Kernel {
 public:
  /// The prepared input lies in the shared work space, behind that of `before` if there is one.
  explicit ProductKernel(std::shared_ptr<const MatMulData> data,
                         std::shared_ptr<const MatMulData> before = nullptr)
      : data_(std::move(data)), before_(std::move(before)) {}

  WorkSpace work_space(const StepLimits&) const override;
  std::int64_t task_count(const StepContext& step) const noexcept override;
  void run(const StepContext& step, float* worker_space, std::int64_t task) const noexcept override;
  void run_all(const StepContext& step, float* worker_space, TaskRun run) const noexcept override;

 private:
  struct Tasks;
  struct Blocks;

  void multiply_part(const StepContext& step, float* worker_space, const ActivationRows& in,
                     const MatMulData::Part& part, const Tasks& tasks, std::int64_t row,
                     std::int64_t task, std::int64_t count) const noexcept;

  std::shared_ptr<const MatMulData> data_;
  std::shared_ptr<const MatMulData> before_;
};

}  // namespace ingot::internal::cpu
