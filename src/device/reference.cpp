#include "src/device/reference.hpp"

#include "src/device/host_memory.hpp"
#include "src/ops/reference_step.hpp"
#include "src/program/liveness.hpp"

namespace ingot::internal {
namespace {

class ReferenceRunner final : public Runner {
 public:
  ReferenceRunner(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights,
                  const StepLimits& limits, const StateTypes& types,
                  std::span<const std::int64_t> page_counts)
      : program_(std::move(program)),
        weights_(std::move(weights)),
        states_(program_->states, types, page_counts),
        arena_plan_(plan_arena(*program_, limits.tokens, limits.outputs)),
        arena_(arena_plan_.elements) {}

  std::span<const float> step(const StepInput& input, const Tap& tap, TapDetail detail) override {
    ReferenceStep step(*program_, *weights_, input, states_, arena_, arena_plan_.offsets);
    int index = 0;
    for (const Instruction& instruction : program_->instructions) {
      std::visit([&step](const auto& op) { reference(op, step); }, instruction);
      if (tap && detail == TapDetail::as_run) {
        tap({.instruction = index});
      } else if (tap) {
        for (const ValueId id : operands(instruction).writes) show(tap, index, id, step.value(id));
      }
      ++index;
    }
    const auto logits = step.value(program_->logits).all();
    logits_.assign(logits.begin(), logits.end());
    return logits_;
  }

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
  std::vector<float> logits_;
  std::vector<float> tapped_;
};

class ReferenceProgram final : public CompiledProgram {
 public:
  ReferenceProgram(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights)
      : program_(std::move(program)), weights_(std::move(weights)) {
    for (const Tensor& tensor : program_->tensors) report_.mapped_bytes += tensor.bytes();
  }

  const Program& program() const override { return *program_; }
  const PackReport& pack_report() const override { return report_; }
  std::unique_ptr<Runner> new_runner(const StepLimits& limits, const StateTypes& types,
                                     std::span<const std::int64_t> page_counts) override {
    return std::make_unique<ReferenceRunner>(program_, weights_, limits, types, page_counts);
  }

 private:
  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Weights> weights_;
  PackReport report_;
};

class ReferenceDevice final : public Device {
 public:
  DeviceInfo info() const override {
    const HostMemory memory = host_memory();
    return {"reference", "double accumulation, one thread, for checking other devices",
            memory.total, memory.available, 1};
  }
  // Every operation defines its reference meaning, or the program would not compile.
  Support supports(const Instruction&, const Program&) const override { return Supported{}; }
  std::uint64_t packed_bytes(const Tensor& tensor) const override { return tensor.bytes(); }
  std::uint64_t scratch_bytes(const Program& program, const StepLimits& limits,
                              const CompileOptions&) const override {
    return plan_arena(program, limits.tokens, limits.outputs).elements * sizeof(double);
  }
  std::unique_ptr<CompiledProgram> compile(std::shared_ptr<const Program> program,
                                           std::shared_ptr<const Weights> weights,
                                           const CompileOptions&) const override {
    return std::make_unique<ReferenceProgram>(std::move(program), std::move(weights));
  }
};

}  // namespace

std::unique_ptr<Device> make_reference_device() {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace ingot::internal
