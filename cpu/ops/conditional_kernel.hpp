// A kernel that has nothing to do in some steps: an instruction with a form for few rows and one
// for many has the kernels of both in its list.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "cpu/ops/kernel.hpp"

namespace ingot::internal::cpu {

class ConditionalKernel final : public Kernel {
 public:
  /// Asked once per step; neither throws nor allocates.
  using Condition = std::function<bool(const StepContext&)>;

  ConditionalKernel(std::shared_ptr<const Kernel> kernel, Condition runs)
      : kernel_(std::move(kernel)), runs_(std::move(runs)) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    return kernel_->work_space(limits);
  }
  std::int64_t task_count(const StepContext& step) const noexcept override {
    return runs_(step) ? kernel_->task_count(step) : 0;
  }
  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    kernel_->run(step, worker_space, task);
  }
  void run_all(const StepContext& step, float* worker_space,
               TaskRun tasks) const noexcept override {
    kernel_->run_all(step, worker_space, tasks);
  }

 private:
  std::shared_ptr<const Kernel> kernel_;
  Condition runs_;
};

}  // namespace ingot::internal::cpu
