// A program compiled for the CPU: packed weights, kernels and threads, shared by its runners.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/ops/build.hpp"
#include "cpu/threads/thread_pool.hpp"
#include "src/device/device.hpp"
#include "src/program/liveness.hpp"

namespace ingot::internal::cpu {

struct CompiledInstruction {
  Kernels kernels;
  int index = 0;  ///< in the program; of fused instructions, of the last
  Range run{};    ///< the instructions that can only run with it as they are compiled here
};

struct CompiledInstructions {
  std::vector<CompiledInstruction> each;   ///< one by one, as a tap for every value sees them
  std::vector<CompiledInstruction> fused;  ///< as they run otherwise
};

/// The instructions' kernels. Error unsupported naming an instruction that cannot be run.
CompiledInstructions compile_instructions(const BuildContext& context);

/// What decides which kernels these are.
constexpr Numerics numerics_of(const CompileOptions& options) {
  return {options.precision, options.deterministic};
}

/// Threads of a step under these options. Error invalid_argument for counts outside [0, 4096].
int thread_count(const CompileOptions& options);

/// Everything one runner allocates beside its states.
struct ScratchPlan {
  ArenaPlan arena;
  std::uint64_t shared_floats = 0;
  std::uint64_t worker_floats = 0;  ///< per thread
  int threads = 1;

  std::uint64_t floats() const {
    return arena.elements + shared_floats + worker_floats * static_cast<std::uint64_t>(threads);
  }
  std::uint64_t bytes() const { return floats() * sizeof(float); }
};

ScratchPlan plan_scratch(const Program& program, const CompiledInstructions& instructions,
                         const StepLimits& limits, int threads);

class Executable final : public CompiledProgram, public std::enable_shared_from_this<Executable> {
 public:
  Executable(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights,
             const KernelTable& table, const CompileOptions& options);

  const Program& program() const override { return *program_; }
  const PackReport& pack_report() const override { return weights_.report(); }
  std::unique_ptr<Runner> new_runner(const StepLimits& limits, const CacheTypes& types,
                                     std::span<const std::int64_t> page_counts) const override;

  const KernelTable& table() const { return table_; }
  const CompiledInstructions& instructions() const { return instructions_; }
  int threads() const { return threads_; }
  HostExecutor* host_executor() const { return host_executor_; }
  ThreadPool& pool() const { return *pool_; }  ///< only without a host executor

  /// One step runs at a time: the threads are one set. A step asked for from within a step (by a
  /// tap) is Error invalid_argument, since it could never start.
  class StepLock {
   public:
    explicit StepLock(const Executable& executable);
    ~StepLock();
    StepLock(const StepLock&) = delete;
    StepLock& operator=(const StepLock&) = delete;

   private:
    const Executable& executable_;
  };

 private:
  std::shared_ptr<const Program> program_;
  /// body(0) .. body(count - 1) on the threads of the steps.
  void for_each(std::int64_t count, const std::function<void(std::int64_t)>& body);

  const KernelTable& table_;
  int threads_;
  HostExecutor* host_executor_;
  std::unique_ptr<ThreadPool> pool_;
  PackedWeights weights_;
  CompiledInstructions instructions_;
  mutable std::mutex stepping_;
  mutable std::atomic<std::thread::id> stepper_{};
};

}  // namespace ingot::internal::cpu
