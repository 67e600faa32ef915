#include "cpu/runner.hpp"

#include <algorithm>
#include <exception>

#include "cpu/threads/barrier.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::cpu {
namespace {

// Of a step with a tap: one per kernel, but an instruction without any has one as well.
std::size_t most_phases(const std::vector<CompiledInstruction>& instructions) {
  std::size_t count = 0;
  for (const CompiledInstruction& instruction : instructions) {
    count += std::max<std::size_t>(1, instruction.kernels.size());
  }
  return count;
}

}  // namespace

CpuRunner::CpuRunner(std::shared_ptr<const Executable> executable, const StepLimits& limits,
                     const CacheTypes& types, std::span<const std::int64_t> page_counts)
    : executable_(std::move(executable)),
      limits_(limits),
      plan_(plan_scratch(executable_->program(), executable_->instructions(), limits,
                         executable_->threads())),
      states_(executable_->program().states, types, page_counts),
      ranges_{TaskRanges(executable_->threads()), TaskRanges(executable_->threads())} {
  // A runner whose limits are never reached does not pay for what it does not write.
  const std::uint64_t bytes = std::max<std::uint64_t>(64, plan_.bytes());
  memory_ = map_lazily(bytes);
  if (memory_ == nullptr) {
    fail(ErrorCode::out_of_memory, "no memory for the ", bytes, " bytes that steps of ",
         limits.tokens, " tokens need; ask for shorter steps");
  }
  for (const std::uint64_t offset : plan_.arena.offsets) values_.push_back(memory() + offset);
  const CompiledInstructions& instructions = executable_->instructions();
  phases_.reserve(most_phases(instructions.each) + most_phases(instructions.fused));
}

StepTicket CpuRunner::submit(const StepInput& input, std::span<const RowOutput> outputs,
                             const TapRequest& tap, const Cancel& cancel) {
  check(input);
  if (cancel.requested()) fail(ErrorCode::cancelled, "the step was cancelled");
  const Executable::StepLock lock(*executable_);
  for (const GroupPageCopy& copy : input.copies) states_.copy_page(copy.group, copy.from, copy.to);
  const StepContext context{input, states_, values_, memory() + plan_.arena.elements,
                            executable_->threads()};
  place_phases(context, tap);
  ran_on_ = executable_->table().running();
  if (executable_->host_executor() != nullptr) {
    run_on_host(context, tap);
  } else {
    run_on_pool(context, tap);
  }
  const Program& program = executable_->program();
  results_.make(program, outputs,
                program.hidden.index < 0 ? nullptr : context.value(program.hidden),
                context.value(program.logits));
  return {++steps_};
}

void CpuRunner::check(const StepInput& input) const {
  const auto sequences = static_cast<std::int64_t>(input.sequences.size());
  if (input.rows(Rows::tokens) < 1 || input.rows(Rows::tokens) > limits_.tokens ||
      input.rows(Rows::outputs) > limits_.outputs || input.rows(Rows::heads) > limits_.heads ||
      sequences > limits_.sequences) {
    fail(ErrorCode::internal, "a step of ", input.rows(Rows::tokens), " tokens, ",
         input.rows(Rows::outputs), " outputs, ", input.rows(Rows::heads),
         " of them for the head, and ", sequences,
         " sequences is outside of the limits of its runner: ", limits_.tokens, ", ",
         limits_.outputs, ", ", limits_.heads, ", ", limits_.sequences);
  }
}

// Whether somebody wants to see a value that instructions which run as one may not write.
bool CpuRunner::must_run_apart(const StepContext& step, const TapRequest& tap, Range run) const {
  const Program& program = executable_->program();
  const bool wants_hidden = step.input.rows(Rows::heads) < step.input.rows(Rows::outputs);
  const bool tapped = tap.tap != nullptr && tap.detail == TapDetail::every_value;
  if (!wants_hidden && !tapped) return false;
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    for (const ValueId id : operands(program.instructions[static_cast<std::size_t>(i)]).writes) {
      if ((wants_hidden && id == program.hidden) || (tapped && tap.wants(id))) return true;
    }
  }
  return false;
}

void CpuRunner::place_phases(const StepContext& step, const TapRequest& tap) {
  const CompiledInstructions& instructions = executable_->instructions();
  const bool tapped = tap.tap != nullptr;
  phases_.clear();
  std::int64_t placed = 0;  // instructions
  for (const CompiledInstruction& instruction : instructions.fused) {
    const Range run = instruction.run;
    if (run.end <= placed) continue;  // with its neighbours, one by one
    if (run.size() == 1 || !must_run_apart(step, tap, run)) {
      place(step, instruction, tapped);
      continue;
    }
    for (; placed < run.end; ++placed) {
      if (placed >= run.begin) {
        place(step, instructions.each[static_cast<std::size_t>(placed)], tapped);
      }
    }
  }
}

void CpuRunner::place(const StepContext& step, const CompiledInstruction& instruction,
                      bool tapped) {
  for (const auto& kernel : instruction.kernels) {
    const std::int64_t tasks = kernel->task_count(step);
    if (tasks > 0) phases_.push_back({kernel.get(), tasks, -1});
  }
  if (!tapped) return;
  // A tap sees every instruction, also one that had nothing to do.
  if (phases_.empty() || phases_.back().ends_instruction >= 0) phases_.push_back({});
  phases_.back().ends_instruction = instruction.index;
}

float* CpuRunner::worker_space(int worker) const {
  return memory() + plan_.arena.elements + plan_.shared_floats +
         plan_.worker_floats * static_cast<std::uint64_t>(worker);
}

void CpuRunner::run_tasks(const StepContext& step, const Phase& phase, TaskRanges& ranges,
                          int worker) noexcept {
  for (TaskRun tasks = ranges.take(worker); !tasks.empty(); tasks = ranges.take(worker)) {
    phase.kernel->run_all(step, worker_space(worker), tasks);
  }
}

std::int64_t CpuRunner::next_shared_tasks(std::size_t phase) const {
  while (phase < phases_.size() && phases_[phase].tasks <= 1) ++phase;
  return phase < phases_.size() ? phases_[phase].tasks : 0;
}

void CpuRunner::run_on_pool(const StepContext& step, const TapRequest& tap) {
  ThreadPool& pool = executable_->pool();
  Barrier barrier(pool.size(), pool.spin_time());
  std::exception_ptr failure;  // set by worker 0 only, read by others behind a barrier
  ranges_[0].deal_all(next_shared_tasks(0));
  pool.run([&](int worker) {
    std::size_t turn = 0;  // which of the two ranges the next shared phase takes
    for (std::size_t p = 0; p < phases_.size(); ++p) {
      const Phase& phase = phases_[p];
      const bool is_small = phase.tasks <= 1;
      if (is_small) {
        if (worker == 0 && phase.tasks == 1) phase.kernel->run(step, worker_space(0), 0);
      } else {
        // The share of the next such phase is dealt before the barrier that precedes it, into the
        // ranges that nobody takes from now.
        ranges_[1 - turn].deal(worker, next_shared_tasks(p + 1));
        run_tasks(step, phase, ranges_[turn], worker);
        turn = 1 - turn;
      }
      if (phase.ends_instruction < 0) {
        // Neighbours of one task each are both worker 0's: nothing to wait for in between. Behind
        // the last phase the pool itself waits.
        const bool is_last = p + 1 == phases_.size();
        if (!is_last && !(is_small && phases_[p + 1].tasks <= 1)) barrier.wait();
        continue;
      }
      barrier.wait();
      if (worker == 0) {
        try {
          call_tap(step, tap, phase.ends_instruction);
        } catch (...) {
          failure = std::current_exception();
        }
      }
      barrier.wait();
      if (failure != nullptr) return;
    }
  });
  if (failure != nullptr) std::rethrow_exception(failure);
}

// Each kernel is a call of its own: barriers inside the host's tasks would wait for ever if the
// host ran them one after the other.
void CpuRunner::run_on_host(const StepContext& step, const TapRequest& tap) {
  HostExecutor& host = *executable_->host_executor();
  for (std::size_t p = 0; p < phases_.size(); ++p) {
    const Phase& phase = phases_[p];
    const auto workers =
        static_cast<int>(std::min<std::int64_t>(executable_->threads(), phase.tasks));
    ranges_[0].deal_all(phase.tasks);
    if (workers <= 1) {
      run_tasks(step, phase, ranges_[0], 0);
    } else {
      host.parallel(workers, [&](int worker) { run_tasks(step, phase, ranges_[0], worker); });
    }
    if (phase.ends_instruction >= 0) call_tap(step, tap, phase.ends_instruction);
  }
}

void CpuRunner::call_tap(const StepContext& step, const TapRequest& tap, int instruction) const {
  if (tap.detail == TapDetail::as_run) return (*tap.tap)({.instruction = instruction});
  const Program& program = executable_->program();
  for (const ValueId id :
       operands(program.instructions[static_cast<std::size_t>(instruction)]).writes) {
    if (!tap.wants(id)) continue;
    const Value& value = program.value(id);
    const std::int64_t rows = step.input.rows(value.rows);
    (*tap.tap)({.instruction = instruction,
                .name = value.name,
                .rows = rows,
                .columns = value.columns,
                .data = {step.value(id), static_cast<std::size_t>(rows * value.columns)}});
  }
}

}  // namespace ingot::internal::cpu
