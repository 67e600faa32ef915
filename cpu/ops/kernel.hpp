// What an instruction becomes on the CPU: a list of kernels, each a function with its arguments
// resolved as far as they are known before the step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cpu/threads/task_ranges.hpp"
#include "src/device/device.hpp"
#include "src/program/step.hpp"
#include "src/state/host_pool.hpp"

namespace ingot::internal::cpu {

/// A step as kernels see it. Plain data; the runner builds it once per step.
struct StepContext {
  const StepInput& input;
  const HostPool& states;
  std::span<float* const> values;  ///< per value of the program: its rows in the arena
  float* shared = nullptr;  ///< work space of the running instruction, kept between its kernels
  int workers = 1;          ///< that share the tasks; results do not depend on it

  float* value(ValueId id) const { return values[static_cast<std::size_t>(id.index)]; }
  /// Of a value that holds indices: as wide as f32, in the same arena.
  std::int32_t* indices(ValueId id) const { return reinterpret_cast<std::int32_t*>(value(id)); }
};

/// Bytes of work space beside the arena.
struct WorkSpace {
  std::uint64_t shared_bytes = 0;  ///< one per runner
  std::uint64_t worker_bytes = 0;  ///< one per thread
};

/// A kernel runs as independent tasks, in any order, on any thread; the next kernel starts when all
/// are done. Neither function throws or allocates.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual WorkSpace work_space(const StepLimits&) const { return {}; }
  virtual std::int64_t task_count(const StepContext& step) const noexcept = 0;
  virtual void run(const StepContext& step, float* worker_space,
                   std::int64_t task) const noexcept = 0;
  /// Neighbouring tasks, which a kernel may treat as one.
  virtual void run_all(const StepContext& step, float* worker_space, TaskRun tasks) const noexcept {
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) run(step, worker_space, task);
  }
};

/// In order. Shared: an instruction's kernels also stand where it runs beside fused ones.
using Kernels = std::vector<std::shared_ptr<const Kernel>>;

constexpr std::int64_t divide_up(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

}  // namespace ingot::internal::cpu
