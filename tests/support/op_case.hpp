// One operation in a tiny program of its own, run on the reference and on every other device.
//
//   OpCase c({{.cached = 0, .rows = 3}});                      // one sequence of three tokens
//   ops::Add op{c.input(64), c.input(64), c.output(64)};
//   c.expect_within(op, op.out, [](Element e) { return kUnit * std::abs(e.expected); });
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "src/device/device.hpp"
#include "src/program/program.hpp"

namespace ingot::test {

using namespace internal;

/// The rounding of one f32 operation: 2^-24.
inline constexpr double kUnit = 5.9604644775390625e-08;

struct CaseSequence {
  std::int64_t cached = 0;  ///< positions fed by a step before the one that is looked at
  std::int64_t rows = 1;    ///< rows of the step that is looked at
};

/// What one device computed for a value: numbers or indices.
struct Recorded {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> data;
  std::vector<std::int32_t> indices;

  float at(std::int64_t row, std::int64_t column) const {
    return data[static_cast<std::size_t>(row * columns + column)];
  }
  std::int64_t index_at(std::int64_t row, std::int64_t column) const {
    return indices[static_cast<std::size_t>(row * columns + column)];
  }
};

/// One element of a result, as a bound is asked for it.
struct Element {
  std::int64_t row = 0;
  std::int64_t column = 0;
  double expected = 0;  ///< the reference's, rounded to f32
};

/// The largest difference that is explained by what a device may round.
using Bound = std::function<double(const Element&)>;

class OpCase {
 public:
  explicit OpCase(std::vector<CaseSequence> sequences, std::uint32_t seed = 1);

  // ---- what the operation works on

  /// A value of normally distributed rows (scaled by `spread`), one per token or output; sequences
  /// and positions differ.
  ValueId input(std::int64_t columns, double spread = 1.0, Rows rows = Rows::tokens);
  /// A value with these rows: [position over all sequences, columns].
  ValueId input_of(std::int64_t columns, std::vector<float> data, Rows rows = Rows::tokens);
  /// A value that the operation writes.
  ValueId output(std::int64_t columns, Rows rows = Rows::tokens, ValueType type = ValueType::f32);

  /// A tensor of normally distributed weights, encoded in the type.
  TensorId tensor(DType type, std::int64_t columns, std::int64_t rows, std::int64_t experts = 1);
  /// The whole of a tensor's first expert.
  WeightOperand whole(TensorId id) const;
  /// The whole of all its experts.
  WeightOperand all_experts(TensorId id) const;
  /// An F32 vector, normally distributed around `mean`.
  WeightOperand vector(std::int64_t size, double mean = 0.0);

  WeightOperand vector_of(std::vector<float> data);
  /// A tensor of [experts, rows, columns] with this data, encoded in the type.
  TensorId tensor_of(std::vector<float> data, std::int64_t columns, std::int64_t rows,
                     std::int64_t experts = 1, DType type = DType::F32);

  StateId state(std::int64_t kv_head_count, std::int64_t key_size, std::int64_t value_size);
  StateId latent_state(std::int64_t latent_size, std::int64_t turned_size);
  std::int32_t rope_table(std::int64_t rotary_size, double magnitude = 1.0);

  /// Values of a routing among `experts`, `used` per token, for a Route to write whose logits have
  /// `rows`.
  ops::Routing routing(std::int64_t experts, std::int64_t used, Rows rows = Rows::tokens);

  /// Adds an instruction that comes before the one under test (StateStore before Attention).
  void before(Instruction instruction);

  // ---- how it is run

  CacheTypes types{DType::F32, DType::F32};
  int threads = 0;                        ///< as CompileOptions::threads
  HostExecutor* host_executor = nullptr;  ///< as CompileOptions::host_executor
  Precision precision = Precision::fast;  ///< as CompileOptions::precision
  bool deterministic = false;             ///< as CompileOptions::deterministic
  std::vector<std::int32_t> output_rows;  ///< rows of the step that want logits; may be empty
  Tap tamper;                             ///< sees and may change every value of every step
  bool all_outputs = true;                ///< every row wants logits; else output_rows

  /// Runs on the reference and on every other device and compares each element of `out`.
  void expect_within(const Instruction& instruction, ValueId out, const Bound& bound);
  /// The same of indices, which are equal.
  void expect_equal(const Instruction& instruction, ValueId out);

  /// The value as the device computes it in the last step.
  Recorded run(const Device& device, const Instruction& instruction, ValueId out);

  /// The value where nobody looks on: instructions that a device fuses run as one.
  struct Fused {
    std::vector<float> data;
    int parts = 0;  ///< instructions and fused groups that ran
  };
  Fused run_fused(const Device& device, const Instruction& instruction, ValueId out);

  /// The pages of the states after the last step, as StatePool::read_page gives them.
  std::vector<std::byte> pages_after(const Device& device, const Instruction& instruction);

  // ---- what bounds are derived from

  std::int64_t total_rows() const;
  /// The step's row of an input.
  std::span<const float> input_row(ValueId id, std::int64_t row) const;
  /// A row of a weight, decoded.
  std::vector<float> weight_row(const WeightOperand& operand, std::int64_t row) const;
  /// All rows an input was given, cached positions included: [position over all sequences].
  const std::vector<float>& input_table(ValueId id) const;
  std::vector<std::byte> weight_bytes(const WeightOperand& operand, std::int64_t row) const;
  const Program& program() const { return program_; }
  std::mt19937& random() { return random_; }

 private:
  struct Built {
    std::shared_ptr<const Program> program;
    std::shared_ptr<const Weights> weights;
  };
  struct InputTable {
    ValueId value;
    TensorId tensor;
  };

  TensorId add_tensor(Tensor tensor, std::vector<std::byte> bytes);
  Built build(const Instruction& instruction, ValueId out) const;
  struct Ran {
    std::unique_ptr<Runner> runner;
    /// What the last step returned: `out`, if it has as many rows as the step has outputs.
    std::span<const float> result;
  };
  Ran run_steps(const Device& device, const Built& built, const Tap& tap,
                TapDetail detail = TapDetail::every_value) const;
  CompileOptions compile_options() const;
  StepInput prefill(std::size_t sequence) const;
  StepInput last_step() const;
  void add_sequence(StepInput& input, std::size_t sequence, std::int64_t first,
                    std::int64_t rows) const;
  void add_angles(StepInput& input) const;
  std::int64_t page_count() const;
  std::int64_t first_id(std::size_t sequence) const;

  std::vector<CaseSequence> sequences_;
  std::mt19937 random_;
  Program program_;
  std::vector<Instruction> before_;
  std::vector<std::vector<std::byte>> tensor_bytes_;
  std::vector<InputTable> inputs_;
  std::vector<std::vector<float>> tables_;  ///< per input
};

/// Every device of this build except the reference.
std::vector<const Device*> devices_under_test();

}  // namespace ingot::test
