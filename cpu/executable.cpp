#include "cpu/executable.hpp"

#include <algorithm>

#include "cpu/backend.hpp"
#include "cpu/fusion.hpp"
#include "cpu/runner.hpp"
#include "cpu/threads/processor_count.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::cpu {
namespace {

// What kernels write over what they have read: that memory is in the caches already. An Attention
// that turns its queries itself relies on Rope's (attention_matmul.hpp).
std::vector<InPlace> written_in_place(const Program& program) {
  std::vector<InPlace> out;
  for (const Instruction& instruction : program.instructions) {
    if (const auto* add = std::get_if<ops::Add>(&instruction)) out.push_back({add->out, add->left});
    if (const auto* rope = std::get_if<ops::Rope>(&instruction)) {
      out.push_back({rope->out, rope->in});
    }
  }
  return out;
}

// Work space is handed out in whole cache lines.
std::uint64_t floats_of(std::uint64_t bytes) {
  return (bytes + 63) / 64 * 16;
}

}  // namespace

CompiledInstructions compile_instructions(const BuildContext& context) {
  CompiledInstructions out;
  Refusals refusals;
  for (const Instruction& instruction : context.program.instructions) {
    Built built = build(instruction, context);
    const std::int64_t index = std::ssize(out.each);
    CompiledInstruction compiled{{}, static_cast<int>(index), {index, index + 1}};
    if (auto* refused = std::get_if<Unsupported>(&built)) {
      refusals.add(index, instruction, std::move(*refused));
    } else {
      compiled.kernels = std::get<Kernels>(std::move(built));
    }
    out.each.push_back(std::move(compiled));
  }
  refusals.throw_any(kCpuName, context.program);
  std::size_t next = 0;
  for (Fusion& fusion : find_fusions(context)) {
    while (next < fusion.first) out.fused.push_back(out.each[next++]);
    const Range run{static_cast<std::int64_t>(fusion.first), fusion.parts.back().index + 1};
    for (CompiledInstruction& part : fusion.parts) {
      part.run = run;
      out.fused.push_back(std::move(part));
    }
    next = static_cast<std::size_t>(out.fused.back().index) + 1;
  }
  while (next < out.each.size()) out.fused.push_back(out.each[next++]);
  return out;
}

int thread_count(const CompileOptions& options) {
  constexpr int kMost = 4096;
  if (options.threads < 0 || options.threads > kMost) {
    fail(ErrorCode::invalid_argument, options.threads, " threads; give 1 to ", kMost,
         ", or 0 for as many as this process may use");
  }
  if (options.host_executor != nullptr) {
    const int given = std::clamp(options.host_executor->concurrency(), 1, kMost);
    return options.threads > 0 ? std::min(options.threads, given) : given;
  }
  return options.threads > 0 ? options.threads : usable_processors();
}

ScratchPlan plan_scratch(const Program& program, const CompiledInstructions& instructions,
                         const StepLimits& limits, int threads) {
  ScratchPlan plan;
  plan.arena =
      plan_arena(program, limits.row_counts(program.experts_used), written_in_place(program));
  plan.threads = threads;
  for (const auto* list : {&instructions.each, &instructions.fused}) {
    for (const CompiledInstruction& instruction : *list) {
      for (const auto& kernel : instruction.kernels) {
        const WorkSpace space = kernel->work_space(limits);
        plan.shared_floats = std::max(plan.shared_floats, floats_of(space.shared_bytes));
        plan.worker_floats = std::max(plan.worker_floats, floats_of(space.worker_bytes));
      }
    }
  }
  return plan;
}

Executable::Executable(std::shared_ptr<const Program> program,
                       std::shared_ptr<const Weights> weights, const KernelTable& table,
                       const CompileOptions& options)
    : program_(std::move(program)),
      table_(table),
      threads_(thread_count(options)),
      host_executor_(options.host_executor),
      pool_(host_executor_ != nullptr
                ? nullptr
                : std::make_unique<ThreadPool>(threads_, options.pin_threads)),
      weights_(
          *program_, std::move(weights), table,
          [this](std::int64_t count, const auto& body) { for_each(count, body); },
          options.progress),
      instructions_(compile_instructions({*program_, table_, &weights_, numerics_of(options)})) {}

void Executable::for_each(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  std::atomic<std::int64_t> next{0};
  const auto work = [&](int) {
    for (std::int64_t i = next++; i < count; i = next++) body(i);
  };
  if (host_executor_ != nullptr) {
    host_executor_->parallel(threads_, work);
  } else {
    pool_->run(work);
  }
}

std::unique_ptr<Runner> Executable::new_runner(const StepLimits& limits, const CacheTypes& types,
                                               std::span<const std::int64_t> page_counts) const {
  return std::make_unique<CpuRunner>(shared_from_this(), limits, types, page_counts);
}

Executable::StepLock::StepLock(const Executable& executable) : executable_(executable) {
  const std::thread::id self = std::this_thread::get_id();
  if (executable_.stepper_.load(std::memory_order_relaxed) == self) {
    fail(ErrorCode::invalid_argument,
         "a step of this model was started from inside another one; start it after the tap or "
         "callback has returned");
  }
  executable_.stepping_.lock();
  executable_.stepper_.store(self, std::memory_order_relaxed);
}

Executable::StepLock::~StepLock() {
  executable_.stepper_.store(std::thread::id{}, std::memory_order_relaxed);
  executable_.stepping_.unlock();
}

}  // namespace ingot::internal::cpu
