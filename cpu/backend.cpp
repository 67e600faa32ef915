#include "cpu/backend.hpp"

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/error_model.hpp"
#include "cpu/executable.hpp"
#include "cpu/fusion.hpp"
#include "cpu/threads/processor_count.hpp"
#include "ingot/error.hpp"
#include "src/device/host_memory.hpp"
#include "src/state/host_pool.hpp"

namespace ingot::internal {
namespace {

// Kernels without data: what they need is known before there are weights.
class CpuLowered final : public LoweredProgram {
 public:
  CpuLowered(std::shared_ptr<const Program> program, const cpu::KernelTable& table,
             const CompileOptions& options)
      : program_(std::move(program)),
        table_(table),
        options_(options),
        instructions_(
            cpu::compile_instructions({*program_, table_, nullptr, cpu::numerics_of(options)})),
        error_model_(cpu::make_error_model(*program_, table_, cpu::numerics_of(options))) {}

  MemoryNeed memory(const StepLimits& limits, const CacheTypes& types) const override {
    MemoryNeed need;
    // In the file or in a packed copy: no target's order needs more bytes than the file's.
    for (const Tensor& tensor : program_->tensors) need.host.weights += tensor.bytes();
    need.host.scratch =
        cpu::plan_scratch(*program_, instructions_, limits, cpu::thread_count(options_)).bytes();
    need.page_bytes = state_page_bytes(*program_, types);
    return need;
  }

  const ErrorModel& error_model() const override { return *error_model_; }

  std::vector<Range> fused() const override { return cpu::fused_groups(instructions_.fused); }

  std::shared_ptr<const CompiledProgram> compile(
      std::shared_ptr<const Weights> weights) const override {
    return std::make_shared<const cpu::Executable>(program_, std::move(weights), table_, options_);
  }

 private:
  std::shared_ptr<const Program> program_;
  const cpu::KernelTable& table_;
  CompileOptions options_;
  cpu::CompiledInstructions instructions_;
  std::unique_ptr<const ErrorModel> error_model_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice() : table_(cpu::select_target()) {}

  std::string_view name() const noexcept override { return kCpuName; }

  DeviceInfo info() const override {
    const HostMemory memory = host_memory();
    DeviceInfo info;
    info.name = kCpuName;
    info.description = cpu::processor_name() + ", " + std::string(table_.name) + " kernels";
    info.features = {std::string(table_.name)};
    info.memory_total = memory.total;
    info.memory_available = memory.available;
    info.threads = cpu::usable_processors();
    return info;
  }

  Support supports(const Instruction& instruction, const Program& program) const override {
    cpu::Built built = cpu::build(instruction, {program, table_, nullptr});
    if (auto* refused = std::get_if<Unsupported>(&built)) return std::move(*refused);
    return Supported{};
  }

  Support supports_cache(const StateSpec& state, const CacheTypes& types) const override {
    return host_pool_supports(state, types);
  }

  Support supports_options(const CompileOptions&) const override { return Supported{}; }

  std::shared_ptr<const LoweredProgram> lower(std::shared_ptr<const Program> program,
                                              Range instructions,
                                              const CompileOptions& options) const override {
    require_whole(*this, *program, instructions);
    return std::make_shared<CpuLowered>(std::move(program), table_, options);
  }

 private:
  const cpu::KernelTable& table_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device() {
  return std::make_unique<CpuDevice>();
}

}  // namespace ingot::internal
