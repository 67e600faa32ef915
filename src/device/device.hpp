// The device interface: what a backend must be able to do. A device compiles a program into packed
// weights and kernels; a runner of the compiled program owns the states and scratch of one session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ingot/device.hpp"
#include "src/program/program.hpp"
#include "src/state/state_pool.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// "I do."
struct Supported {};

/// "I can't", and why, in words that end the sentence "device D cannot run instruction I: ...".
struct Unsupported {
  std::string reason;
};

using Support = std::variant<Supported, Unsupported>;

/// The most that one step of a runner may have. Scratch memory is sized by it, once.
struct StepLimits {
  std::int64_t tokens = 1;
  std::int64_t outputs = 1;
  std::int64_t sequences = 1;
};

/// The step as the session sees it: input in, logits out.
class Runner {
 public:
  virtual ~Runner() = default;

  /// Runs every instruction once. The input is within the limits and refers to reserved pages.
  /// Returns the logits, row-major [outputs, vocabulary], valid until the next step.
  /// `tap`, if set, is called after each instruction: for each value it wrote, which it may change,
  /// or once per instruction that is run.
  virtual std::span<const float> step(const StepInput& input, const Tap& tap,
                                      TapDetail detail = TapDetail::every_value) = 0;

  /// The pages of this runner's states.
  virtual StatePool& states() = 0;
};

/// Packed weights and kernels: immutable, shared by any number of runners.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  virtual const Program& program() const = 0;
  virtual const PackReport& pack_report() const = 0;
  /// `page_counts`: pages of each state group. Error out_of_memory when the device has no room.
  virtual std::unique_ptr<Runner> new_runner(const StepLimits& limits, const StateTypes& types,
                                             std::span<const std::int64_t> page_counts) = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceInfo info() const = 0;

  /// Whether this device can run the instruction as it stands in the program.
  virtual Support supports(const Instruction& instruction, const Program& program) const = 0;

  /// Bytes that a tensor takes in this device's own order.
  virtual std::uint64_t packed_bytes(const Tensor& tensor) const = 0;

  /// Bytes of intermediate values and work space of one runner.
  virtual std::uint64_t scratch_bytes(const Program& program, const StepLimits& limits,
                                      const CompileOptions& options) const = 0;

  /// Groups of neighbouring instructions that steps run as one, each [begin, end), in order; those
  /// that run alone are in none. TapDetail::as_run sees the end of a group only.
  virtual std::vector<Range> fused(const Program&) const { return {}; }

  /// Packs the weights. The program was found supported. Weights keep the file mapped.
  virtual std::unique_ptr<CompiledProgram> compile(std::shared_ptr<const Program> program,
                                                   std::shared_ptr<const Weights> weights,
                                                   const CompileOptions& options) const = 0;
};

/// Every instruction that the device can't run, as one Error unsupported; nothing if there is none.
void require_support(const Device& device, const Program& program);

}  // namespace ingot::internal
