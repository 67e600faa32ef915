#include "cpu/backend.hpp"

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/executable.hpp"
#include "cpu/fusion.hpp"
#include "cpu/threads/processor_count.hpp"
#include "ingot/error.hpp"
#include "src/device/host_memory.hpp"

namespace ingot::internal {
namespace {

class CpuDevice final : public Device {
 public:
  CpuDevice() : table_(cpu::select_target()) {}

  DeviceInfo info() const override {
    const HostMemory memory = host_memory();
    DeviceInfo info;
    info.name = "cpu";
    info.description = cpu::processor_name() + ", " + std::string(table_.name) + " kernels";
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

  // In the file or in a packed copy: no target's order needs more bytes than the file's.
  std::uint64_t packed_bytes(const Tensor& tensor) const override { return tensor.bytes(); }

  std::uint64_t scratch_bytes(const Program& program, const StepLimits& limits,
                              const CompileOptions& options) const override {
    const auto instructions = cpu::compile_instructions({program, table_, nullptr});
    return cpu::plan_scratch(program, instructions, limits, cpu::thread_count(options)).bytes();
  }

  std::vector<Range> fused(const Program& program) const override {
    return cpu::fused_groups(cpu::compile_instructions({program, table_, nullptr}).fused);
  }

  std::unique_ptr<CompiledProgram> compile(std::shared_ptr<const Program> program,
                                           std::shared_ptr<const Weights> weights,
                                           const CompileOptions& options) const override {
    // Shared, because runners keep it alive; the interface hands out a unique_ptr.
    return std::make_unique<Handle>(
        std::make_shared<cpu::Executable>(std::move(program), std::move(weights), table_, options));
  }

 private:
  class Handle final : public CompiledProgram {
   public:
    explicit Handle(std::shared_ptr<cpu::Executable> executable)
        : executable_(std::move(executable)) {}
    const Program& program() const override { return executable_->program(); }
    const PackReport& pack_report() const override { return executable_->pack_report(); }
    std::unique_ptr<Runner> new_runner(const StepLimits& limits, const StateTypes& types,
                                       std::span<const std::int64_t> page_counts) override {
      return executable_->new_runner(limits, types, page_counts);
    }

   private:
    std::shared_ptr<cpu::Executable> executable_;
  };

  const cpu::KernelTable& table_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device() {
  return std::make_unique<CpuDevice>();
}

}  // namespace ingot::internal
