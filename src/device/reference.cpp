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
  return arena.elements * ReferenceStep::kElementBytes +
         static_cast<std::uint64_t>(floats) * sizeof(float);
}

class ReferenceRunner final : public Runner {
 public:
  ReferenceRunner(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights,
                  const StepLimits& limits, const CacheTypes& types,
                  std::span<const std::int64_t> page_counts, bool by_row)
      : program_(std::move(program)),
        weights_(std::move(weights)),
        states_(program_->states, types, page_counts),
        arena_plan_(arena_of(*program_, limits)),
        arena_(std::make_unique<std::byte[]>(arena_plan_.elements * ReferenceStep::kElementBytes)),
        by_row_(by_row) {}

  StepTicket submit(const StepInput& input, std::span<const RowOutput> outputs,
                    const TapRequest& tap, const Cancel& cancel) override {
    for (const GroupPageCopy& copy : input.copies)
      states_.copy_page(copy.group, copy.from, copy.to);
    ReferenceStep step(*program_, *weights_, input, states_, arena_.get(), arena_plan_.offsets,
                       by_row_);
    int index = 0;
    for (const Instruction& instruction : program_->instructions) {
      if (cancel.requested()) fail(ErrorCode::cancelled, "the step was cancelled");
      std::visit([&step](const auto& op) { reference(op, step); }, instruction);
      if (tap.tap != nullptr && tap.detail == TapDetail::as_run) {
        (*tap.tap)({.instruction = index});
      } else if (tap.tap != nullptr) {
        for (const ValueId id : operands(instruction).writes) {
          if (tap.wants(id)) show(tap, index, id, step);
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
  // A tap sees floats; only what it changed goes back unless all should, so that looking costs no
  // precision. Indices it sees where they are.
  void show(const TapRequest& tap, int index, ValueId id, const ReferenceStep& step) {
    const Value& value = program_->value(id);
    TapEvent event{.instruction = index, .name = value.name, .type = value.type};
    if (value.type == ValueType::i32) {
      const IndexMatrix indices = step.indices(id);
      event.rows = indices.rows;
      event.columns = indices.columns;
      event.indices = indices.all();
      return (*tap.tap)(event);
    }
    const Matrix matrix = step.value(id);
    const auto values = matrix.all();
    tapped_.assign(values.begin(), values.end());
    event.rows = matrix.rows;
    event.columns = matrix.columns;
    event.data = tapped_;
    (*tap.tap)(event);
    const bool all = tap.detail == TapDetail::every_value_rounded;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (all || static_cast<float>(values[i]) != tapped_[i]) {
        values[i] = static_cast<double>(tapped_[i]);
      }
    }
  }

  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Weights> weights_;
  HostPool states_;
  ArenaPlan arena_plan_;
  std::unique_ptr<std::byte[]> arena_;
  bool by_row_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
  std::vector<float> tapped_;
  HostRowResults results_;
  std::uint64_t steps_ = 0;
};

class ReferenceProgram final : public CompiledProgram {
 public:
  ReferenceProgram(std::shared_ptr<const Program> program, std::shared_ptr<const Weights> weights,
                   bool by_row)
      : program_(std::move(program)), weights_(std::move(weights)), by_row_(by_row) {
    for (const Tensor& tensor : program_->tensors) report_.mapped_bytes += tensor.bytes();
  }

  const Program& program() const override { return *program_; }
  const PackReport& pack_report() const override { return report_; }
  std::unique_ptr<Runner> new_runner(const StepLimits& limits, const CacheTypes& types,
                                     std::span<const std::int64_t> page_counts) const override {
    return std::make_unique<ReferenceRunner>(program_, weights_, limits, types, page_counts,
                                             by_row_);
  }

 private:
  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Weights> weights_;
  bool by_row_;
  PackReport report_;
};

// Values and sums are double: nothing is rounded but what is shown, and no path is asked for.
class ReferenceModel final : public ErrorModel {
 public:
  Arithmetic arithmetic() const override { return {.unit = 0, .smallest = 0}; }
  double norm_roundings(std::int64_t) const override { return 0; }
  std::vector<ProductPart> product(const WeightOperand& weight, std::int64_t) const override {
    return {{weight.rows.size(), {.smallest = 0}}};
  }
  AttentionModel attention(const ops::Attention&, const CacheTypes&, std::int64_t) const override {
    return {};
  }
  LatentModel latent_attention(const ops::LatentAttention&, const CacheTypes&,
                               std::int64_t) const override {
    return {};
  }
};

class ReferenceLowered final : public LoweredProgram {
 public:
  ReferenceLowered(std::shared_ptr<const Program> program, bool by_row)
      : program_(std::move(program)), by_row_(by_row) {}

  MemoryNeed memory(const StepLimits& limits, const CacheTypes& types) const override {
    MemoryNeed need;
    for (const Tensor& tensor : program_->tensors) need.host.weights += tensor.bytes();
    need.host.scratch = scratch_bytes(*program_, arena_of(*program_, limits), limits);
    need.page_bytes = state_page_bytes(*program_, types);
    return need;
  }
  const ErrorModel& error_model() const override { return error_model_; }
  std::shared_ptr<const CompiledProgram> compile(
      std::shared_ptr<const Weights> weights) const override {
    return std::make_shared<ReferenceProgram>(program_, std::move(weights), by_row_);
  }

 private:
  std::shared_ptr<const Program> program_;
  ReferenceModel error_model_;
  bool by_row_;
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
  Support supports_options(const CompileOptions&) const override { return Supported{}; }
  std::shared_ptr<const LoweredProgram> lower(std::shared_ptr<const Program> program,
                                              Range instructions,
                                              const CompileOptions& options) const override {
    require_whole(*this, *program, instructions);
    return std::make_shared<ReferenceLowered>(std::move(program), options.deterministic);
  }
};

}  // namespace

std::unique_ptr<Device> make_reference_device() {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace ingot::internal
