// The device interface: what a backend must be able to do.
//
//   Device ── lower ──▶ LoweredProgram ── compile(weights) ──▶ CompiledProgram ── new_runner ──▶
//   Runner supports?           exact memory                         packed weights, states and
//                       what runs as one                     shared scratch of
//                                                                                             one
//                                                                                             session
//
// A device lowers a range of a program's instructions: an executable is a list of {device, range}.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/device.hpp"
#include "ingot/outputs.hpp"
#include "src/device/error_model.hpp"
#include "src/program/program.hpp"
#include "src/program/support.hpp"
#include "src/state/state_pool.hpp"
#include "src/weights/weights.hpp"

namespace ingot::internal {

/// The most that one step of a runner may have. Scratch memory is sized by it, once.
struct StepLimits {
  std::int64_t tokens = 1;
  std::int64_t outputs = 1;
  std::int64_t heads = 1;  ///< outputs that go through the head
  std::int64_t sequences = 1;
  std::int64_t positions = 1;  ///< of one sequence, those of the step included

  RowCounts row_counts(std::int64_t experts_used) const {
    return {tokens, outputs, heads, experts_used};
  }
};

/// Bytes that a program takes, exactly: in the host's memory (a GPU pins some as well) and in the
/// device's own. On a device that is the host, everything is the host's.
struct MemoryNeed {
  struct Part {
    std::uint64_t weights = 0;  ///< in the device's order, or used where they lie in the file
    std::uint64_t derived = 0;  ///< further copies made of them
    std::uint64_t scratch = 0;  ///< of one runner: values, work space, staging, results
    std::uint64_t total() const { return weights + derived + scratch; }
  };
  Part host;
  Part device;
  std::vector<std::uint64_t> page_bytes;  ///< of each state group, in the memory of its states
};

/// What a step is asked to show while it runs.
struct TapRequest {
  const Tap* tap = nullptr;  ///< null: nothing
  TapDetail detail = TapDetail::every_value;
  std::vector<bool> values = {};  ///< per value of the program: wanted; empty: all
  bool wants(ValueId id) const {
    return values.empty() || values[static_cast<std::size_t>(id.index)];
  }
};

/// Names a step on its way.
struct StepTicket {
  std::uint64_t number = 0;
};

/// What a step gives back for one output row.
struct RowResult {
  std::span<const float> values;          ///< hidden or logits
  std::span<const Candidate> candidates;  ///< best first
  double log_sum_exp = 0;                 ///< candidates
  TokenId id = -1;
  TokenId not_finite = -1;  ///< candidates and id: the first token whose logit is NaN or +inf
};

/// A result per output row, valid until the runner's next submit.
using StepResultView = std::vector<RowResult>;

/// States and scratch of one session. One thread uses a runner at a time.
class Runner {
 public:
  virtual ~Runner() = default;

  /// Takes a step: every instruction once, page copies of the input before. The input is within the
  /// limits and refers to reserved pages; it may go when this returns. `outputs` says what is
  /// wanted of each of input.output_rows. An Error means that the step was not taken (cancelled: or
  /// that it was given up): no position behind `cached` may be read again, all others are as
  /// before.
  virtual StepTicket submit(const StepInput& input, std::span<const RowOutput> outputs,
                            const TapRequest& tap, const Cancel& cancel) = 0;

  /// Waits for a step that was taken, and for all before it. Late errors surface here, with the
  /// same meaning.
  virtual const StepResultView& wait(StepTicket ticket) = 0;

  /// The pages of this runner's states. Reads and writes come after all steps taken.
  virtual StatePool& states() = 0;
};

/// Packed weights and kernels: immutable, shared by any number of runners. Thread-safe.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  virtual const Program& program() const = 0;
  virtual const PackReport& pack_report() const = 0;
  /// `page_counts`: pages of each state group. Error out_of_memory when the device has no room.
  virtual std::unique_ptr<Runner> new_runner(const StepLimits& limits, const CacheTypes& types,
                                             std::span<const std::int64_t> page_counts) const = 0;
};

/// A part of a program resolved for a device, before there are weights: immutable, thread-safe.
class LoweredProgram {
 public:
  virtual ~LoweredProgram() = default;

  /// What compile and one runner will allocate.
  virtual MemoryNeed memory(const StepLimits& limits, const CacheTypes& types) const = 0;

  /// Groups of neighbouring instructions that steps run as one, each [begin, end), in order; those
  /// that run alone are in none. TapDetail::as_run sees the end of a group only.
  virtual std::vector<Range> fused() const { return {}; }

  /// What the device rounds in this program, on the paths that it takes: `ingot diff` judges by it.
  virtual const ErrorModel& error_model() const = 0;

  /// Packs the weights, which keep the file mapped.
  virtual std::shared_ptr<const CompiledProgram> compile(
      std::shared_ptr<const Weights> weights) const = 0;
};

/// Thread-safe.
class Device {
 public:
  virtual ~Device() = default;

  /// As --device takes it; does no I/O.
  virtual std::string_view name() const noexcept = 0;

  virtual DeviceInfo info() const = 0;

  /// Whether this device can run the instruction as it stands in the program.
  virtual Support supports(const Instruction& instruction, const Program& program) const = 0;

  /// Whether it can keep this state in these types.
  virtual Support supports_cache(const StateSpec& state, const CacheTypes& types) const = 0;

  /// Whether it can compute as these options ask: precision, determinism. Reasons end the sentence
  /// "device D ...".
  virtual Support supports_options(const CompileOptions& options) const = 0;

  /// Resolves the instructions of a range. Error unsupported naming all of them that it cannot run.
  virtual std::shared_ptr<const LoweredProgram> lower(std::shared_ptr<const Program> program,
                                                      Range instructions,
                                                      const CompileOptions& options) const = 0;
};

/// All instructions of a program.
inline Range all_instructions(const Program& program) {
  return {0, std::ssize(program.instructions)};
}

/// Error internal unless the range is all of the program: for devices that run nothing less yet.
void require_whole(const Device& device, const Program& program, Range instructions);

/// The instructions that a device can't run, as one Error unsupported naming each.
class Refusals {
 public:
  void add(std::int64_t index, const Instruction& instruction, const Support& support);
  /// Does nothing if there are none.
  void throw_any(std::string_view device, const Program& program) const;

 private:
  std::string text_;
};

/// Asks the device about each instruction.
void require_support(const Device& device, const Program& program);

/// The same for the states of the program in these types.
void require_cache_support(const Device& device, const Program& program, const CacheTypes& types);

/// Error unsupported for options that the device refuses.
void require_option_support(const Device& device, const CompileOptions& options);

}  // namespace ingot::internal
