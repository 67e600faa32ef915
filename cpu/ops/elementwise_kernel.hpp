// The kernel shared by operations that treat each element alone: tasks are ranges of elements.
#pragma once

#include <utility>

#include "cpu/ops/build.hpp"
#include "cpu/ops/elementwise.hpp"

namespace ingot::internal::cpu {

/// `body(step, begin, count)` treats the elements [begin, begin + count) of a value like `shape`.
template <class Body>
class ElementwiseKernel final : public Kernel {
 public:
  ElementwiseKernel(const Value& shape, Body body)
      : rows_(shape.rows), columns_(shape.columns), body_(std::move(body)) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return divide_up(step.input.rows(rows_) * columns_, kElementsPerTask);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t begin = task * kElementsPerTask;
    const std::int64_t left = step.input.rows(rows_) * columns_ - begin;
    body_(step, begin, left < kElementsPerTask ? left : kElementsPerTask);
  }

 private:
  Rows rows_;
  std::int64_t columns_;
  Body body_;
};

template <class Body>
Built elementwise(const BuildContext& context, ValueId shape, Body body) {
  return single(ElementwiseKernel<Body>(context.program.value(shape), std::move(body)));
}

}  // namespace ingot::internal::cpu
