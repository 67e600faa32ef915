#include "cpu/runner.hpp"

#include <algorithm>

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

/// The phases of one step, as the scheduler sees them.
class CpuRunner::StepWork final : public PhasedWork {
 public:
  StepWork(const CpuRunner& runner, const StepContext& step, const TapRequest& tap)
      : runner_(runner), step_(step), tap_(tap) {}

  std::size_t phases() const noexcept override { return runner_.phases_.size(); }
  std::int64_t tasks(std::size_t phase) const noexcept override { return at(phase).tasks; }
  void run(std::size_t phase, int worker, TaskRun tasks) noexcept override {
    at(phase).kernel->run_all(step_, runner_.worker_space(worker), tasks);
  }
  bool has_end(std::size_t phase) const noexcept override {
    return at(phase).ends_instruction >= 0;
  }
  void end_phase(std::size_t phase) override {
    runner_.call_tap(step_, tap_, at(phase).ends_instruction);
  }

 private:
  const Phase& at(std::size_t phase) const { return runner_.phases_[phase]; }

  const CpuRunner& runner_;
  const StepContext& step_;
  const TapRequest& tap_;
};

CpuRunner::CpuRunner(std::shared_ptr<const Executable> executable, const StepLimits& limits,
                     const CacheTypes& types, std::span<const std::int64_t> page_counts)
    : executable_(std::move(executable)),
      limits_(limits),
      plan_(plan_scratch(executable_->program(), executable_->instructions(), limits,
                         executable_->threads())),
      states_(executable_->program().states, types, page_counts),
      scheduler_(executable_->threads()) {
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
  StepWork work(*this, context, tap);
  if (HostExecutor* host = executable_->host_executor(); host != nullptr) {
    scheduler_.run([host](int count, const auto& body) { host->parallel(count, body); }, work);
  } else {
    scheduler_.run(executable_->pool(), work);
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
  const bool tapped = tap.tap != nullptr && tap.detail != TapDetail::as_run;
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

void CpuRunner::call_tap(const StepContext& step, const TapRequest& tap, int instruction) const {
  if (tap.detail == TapDetail::as_run) return (*tap.tap)({.instruction = instruction});
  const Program& program = executable_->program();
  for (const ValueId id :
       operands(program.instructions[static_cast<std::size_t>(instruction)]).writes) {
    if (!tap.wants(id)) continue;
    const Value& value = program.value(id);
    TapEvent event{.instruction = instruction,
                   .name = value.name,
                   .rows = step.input.rows(value.rows),
                   .columns = value.columns,
                   .type = value.type};
    const auto elements = static_cast<std::size_t>(event.rows * event.columns);
    if (value.type == ValueType::i32) {
      event.indices = {step.indices(id), elements};
    } else {
      event.data = {step.value(id), elements};
    }
    (*tap.tap)(event);
  }
}

}  // namespace ingot::internal::cpu
