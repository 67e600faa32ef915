#include "src/device/reference.hpp"

#include "ingot/error.hpp"
#include "src/device/host_memory.hpp"
#include "src/device/row_results.hpp"
#include "src/ops/reference_step.hpp"
#include "src/program/liveness.hpp"

namespace ingot::internal {
namespace {

ArenaPlan arena_of(const Program& program, const StepLimits& limits) {
  return plan_arena(program, limits.row_counts(program.experts_used));
}

std::int64_t columns_of(const Program& program, ValueId id) {
  return id.index < 0 ? 0 : program.value(id).columns;
}

// Bytes of one runner: values in double, and its results as floats.
std::uint64_t scratch_bytes(const Program& program, const ArenaPlan& arena,
                            const StepLimits& limits) {
  const std::int64_t floats = limits.outputs * columns_of(program, program.hidden) +
                              limits.heads * columns_of(program, program.logits);
  return arena.elements * sizeof(double) + static_cast<std::uint64_t>(floats) * sizeof(float);
}

class ReferenceRunner final : public Runner {
 public:
  ReferenceRunner(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights,
                  const StepLimits& limits, const CacheTypes& types,
                  std::span<const std::int64_t> page_counts)
      : program_(std::move(program)),
        weights_(std::move(weights)),
        states_(program_->states, types, page_counts),
        arena_plan_(arena_of(*program_, limits)),
        arena_(arena_plan_.elements) {}

  StepTicket submit(const StepInput& input, std::span<const RowOutput> outputs,
                    const TapRequest& tap, const Cancel& cancel) override {
    for (const GroupPageCopy& copy : input.copies)
      states_.copy_page(copy.group, copy.from, copy.to);
    ReferenceStep step(*program_, *weights_, input, states_, arena_, arena_plan_.offsets);
    int index = 0;
    for (const Instruction& instruction : program_->instructions) {
      if (cancel.requested()) fail(ErrorCode::cancelled, "the step was cancelled");
      std::visit([&step](const auto& op) { reference(op, step); }, instruction);
      if (tap.tap != nullptr && tap.detail == TapDetail::as_run) {
        (*tap.tap)({.instruction = index});
      } else if (tap.tap != nullptr) {
        for (const ValueId id : operands(instruction).writes) {
          if (tap.wants(id)) show(*tap.tap, index, id, step.value(id));
        }
      }
      ++index;
    }
    const auto as_floats = [&](ValueId id, std::vector<float>& out) {
      if (id.index < 0) return out.clear();
      const auto values = step.value(id).all();
      out.assign(values.begin(), values.end());
    };
    as_floats(program_->hidden, hidden_);
    as_floats(program_->logits, logits_);
    results_.make(*program_, outputs, hidden_.data(), logits_.data());
    return {++steps_};
  }

  const StepResultView& wait(StepTicket) override { return results_.view(); }

  StatePool& states() override { return states_; }

 private:
  // A tap sees floats; only what it changed goes back, so that looking costs no precision.
  void show(const Tap& tap, int index, ValueId id, const Matrix& matrix) {
    tapped_.assign(matrix.all().begin(), matrix.all().end());
    tap({index, program_->value(id).name, matrix.rows, matrix.columns, tapped_});
    const auto values = matrix.all();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (static_cast<float>(values[i]) != tapped_[i]) values[i] = tapped_[i];
    }
  }

  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Weights> weights_;
  HostPool states_;
  ArenaPlan arena_plan_;
  std::vector<double> arena_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
  std::vector<float> tapped_;
  HostRowResults results_;
  std::uint64_t steps_ = 0;
};

class ReferenceProgram final : public CompiledProgram {
 public:
  ReferenceProgram(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights)
      : program_(std::move(program)), weights_(std::move(weights)) {
    for (const Tensor& tensor : program_->tensors) report_.mapped_bytes += tensor.bytes();
  }

  const Program& program() const override { return *program_; }
  const PackReport& pack_report() const override { return report_; }
  std::unique_ptr<Runner> new_runner(const StepLimits& limits, const CacheTypes& types,
                                     std::span<const std::int64_t> page_counts) const override {
    return std::make_unique<ReferenceRunner>(program_, weights_, limits, types, page_counts);
  }

 private:
  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Weights> weights_;
  PackReport report_;
};

class ReferenceLowered final : public LoweredProgram {
 public:
  explicit ReferenceLowered(std::shared_ptr<const Program> program)
      : program_(std::move(program)) {}

  MemoryNeed memory(const StepLimits& limits, const CacheTypes& types) const override {
    MemoryNeed need;
    for (const Tensor& tensor : program_->tensors) need.host.weights += tensor.bytes();
    need.host.scratch = scratch_bytes(*program_, arena_of(*program_, limits), limits);
    need.page_bytes = state_page_bytes(*program_, types);
    return need;
  }
  std::shared_ptr<const CompiledProgram> compile(
      std::shared_ptr<const Weights> weights) const override {
    return std::make_shared<ReferenceProgram>(program_, std::move(weights));
  }

 private:
  std::shared_ptr<const Program> program_;
};

class ReferenceDevice final : public Device {
 public:
  std::string_view name() const noexcept override { return kReferenceName; }
  DeviceInfo info() const override {
    const HostMemory memory = host_memory();
    DeviceInfo info;
    info.name = kReferenceName;
    info.description = "double accumulation, one thread, for checking other devices";
    info.speed = DeviceSpeed::slow;
    info.memory_total = memory.total;
    info.memory_available = memory.available;
    return info;
  }
  // Every operation defines its reference meaning, or the program would not compile.
  Support supports(const Instruction&, const Program&) const override { return Supported{}; }
  Support supports_cache(const StateSpec& state, const CacheTypes& types) const override {
    return host_pool_supports(state, types);
  }
  std::shared_ptr<const LoweredProgram> lower(std::shared_ptr<const Program> program,
                                              Range instructions,
                                              const CompileOptions&) const override {
    require_whole(*this, *program, instructions);
    return std::make_shared<ReferenceLowered>(std::move(program));
  }
};

}  // namespace

std::unique_ptr<Device> make_reference_device() {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace ingot::internal
