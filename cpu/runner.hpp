// A session's side of the CPU executor: its arena, work space and cache pages.
#pragma once

#include <memory>
#include <vector>

#include "cpu/executable.hpp"
#include "cpu/ops/kernel.hpp"
#include "cpu/threads/phases.hpp"
#include "src/device/device.hpp"
#include "src/device/row_results.hpp"
#include "src/state/host_pool.hpp"
#include "src/state/lazy_memory.hpp"

namespace ingot::internal::cpu {

class CpuRunner final : public Runner {
 public:
  /// Error out_of_memory when arena, work space or pages do not fit.
  CpuRunner(std::shared_ptr<const Executable> executable, const StepLimits& limits,
            const CacheTypes& types, std::span<const std::int64_t> page_counts);

  StepTicket submit(const StepInput& input, std::span<const RowOutput> outputs,
                    const TapRequest& tap, const Cancel& cancel) override;
  const StepResultView& wait(StepTicket) override { return results_.view(); }
  StatePool& states() override { return states_; }

  /// Bytes allocated beside the states: what LoweredProgram::memory promised.
  std::uint64_t scratch_bytes() const { return plan_.bytes(); }

  /// The target whose code the last step ran; "" before the first.
  std::string_view ran_on() const { return ran_on_; }

 private:
  /// A kernel with something to do in this step, or the end of a tapped instruction.
  struct Phase {
    const Kernel* kernel = nullptr;
    std::int64_t tasks = 0;
    int ends_instruction = -1;  ///< index, if this is its last kernel
  };

  class StepWork;

  float* memory() const { return reinterpret_cast<float*>(memory_.get()); }
  void check(const StepInput& input) const;
  void place_phases(const StepContext& step, const TapRequest& tap);
  bool must_run_apart(const StepContext& step, const TapRequest& tap, Range run) const;
  void place(const StepContext& step, const CompiledInstruction& instruction, bool tapped);
  void call_tap(const StepContext& step, const TapRequest& tap, int instruction) const;
  float* worker_space(int worker) const;

  std::shared_ptr<const Executable> executable_;
  StepLimits limits_;
  ScratchPlan plan_;
  HostPool states_;
  LazyMemory memory_;           ///< arena, shared space, threads' spaces
  std::vector<float*> values_;  ///< per value of the program
  std::vector<Phase> phases_;
  PhaseScheduler scheduler_;
  std::string_view ran_on_;
  HostRowResults results_;
  std::uint64_t steps_ = 0;
};

}  // namespace ingot::internal::cpu
