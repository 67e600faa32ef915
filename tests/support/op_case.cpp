#include "tests/support/op_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ingot/dtype.hpp"
#include "ingot/gguf_writer.hpp"
#include "src/device/registry.hpp"
#include "src/device/run_step.hpp"
#include "tests/support/devices.hpp"

namespace ingot::test {

using namespace internal;

namespace {

std::vector<float> normal_values(std::mt19937& random, std::int64_t count, double mean,
                                 double spread) {
  std::normal_distribution<double> distribution(mean, spread);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& x : out) x = static_cast<float>(distribution(random));
  return out;
}

std::vector<std::byte> encode(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(row_bytes(type, static_cast<std::int64_t>(values.size())));
  quantize(type, values, bytes);
  return bytes;
}

}  // namespace

std::vector<const Device*> devices_under_test() {
  std::vector<const Device*> found;
  for (const DeviceInfo& info : test_devices()) {
    if (info.name != "reference") found.push_back(&find_device(info.name));
  }
  return found;
}

OpCase::OpCase(std::vector<CaseSequence> sequences, std::uint32_t seed)
    : sequences_(std::move(sequences)), random_(seed) {
  program_.architecture = "one operation";
  for (const CaseSequence& s : sequences_) {
    program_.context = std::max(program_.context, s.cached + s.rows);
  }
}

TensorId OpCase::add_tensor(Tensor tensor, std::vector<std::byte> bytes) {
  tensor.name = "tensor" + std::to_string(program_.tensors.size());
  program_.tensors.push_back(std::move(tensor));
  tensor_bytes_.push_back(std::move(bytes));
  return {static_cast<std::int32_t>(program_.tensors.size()) - 1};
}

ValueId OpCase::output(std::int64_t columns, Rows rows, ValueType type) {
  program_.values.push_back(
      {"value" + std::to_string(program_.values.size()), rows, columns, type});
  return {static_cast<std::int32_t>(program_.values.size()) - 1};
}

ValueId OpCase::input_of(std::int64_t columns, std::vector<float> data, Rows rows) {
  Tensor table;
  table.columns = columns;
  table.rows = static_cast<std::int64_t>(data.size()) / columns;
  const TensorId tensor = add_tensor(table, encode(DType::F32, data));
  ValueId value = output(columns);
  program_.instructions.push_back(ops::EmbedRows{whole(tensor), value});
  if (rows == Rows::outputs) {
    const ValueId selected = output(columns, Rows::outputs);
    program_.instructions.push_back(ops::SelectRows{value, selected});
    value = selected;
  }
  inputs_.push_back({value, tensor});
  tables_.push_back(std::move(data));
  return value;
}

ValueId OpCase::input(std::int64_t columns, double spread, Rows rows) {
  const std::int64_t positions = first_id(sequences_.size());
  return input_of(columns, normal_values(random_, positions * columns, 0.0, spread), rows);
}

TensorId OpCase::tensor(DType type, std::int64_t columns, std::int64_t rows, std::int64_t experts) {
  Tensor tensor;
  tensor.type = type;
  tensor.columns = columns;
  tensor.rows = rows;
  tensor.experts = experts;
  // Trained weights are of this size: products then are near 1.
  const double spread = 1.0 / std::sqrt(static_cast<double>(columns));
  return add_tensor(tensor,
                    encode(type, normal_values(random_, columns * rows * experts, 0.0, spread)));
}

WeightOperand OpCase::whole(TensorId id) const {
  const Tensor& tensor = program_.tensor(id);
  return {id, {0, tensor.rows}, {0, tensor.columns}, {0, 1}};
}

WeightOperand OpCase::all_experts(TensorId id) const {
  WeightOperand operand = whole(id);
  operand.experts.end = program_.tensor(id).experts;
  return operand;
}

TensorId OpCase::tensor_of(std::vector<float> data, std::int64_t columns, std::int64_t rows,
                           std::int64_t experts, DType type) {
  Tensor tensor;
  tensor.type = type;
  tensor.columns = columns;
  tensor.rows = rows;
  tensor.experts = experts;
  return add_tensor(tensor, encode(type, data));
}

WeightOperand OpCase::vector_of(std::vector<float> data) {
  const auto size = static_cast<std::int64_t>(data.size());
  return whole(tensor_of(std::move(data), size, 1));
}

WeightOperand OpCase::vector(std::int64_t size, double mean) {
  return vector_of(normal_values(random_, size, mean, 0.5));
}

StateId OpCase::state(std::int64_t kv_head_count, std::int64_t key_size, std::int64_t value_size) {
  program_.states.push_back({"state", kv_head_count, key_size, value_size});
  return {static_cast<std::int32_t>(program_.states.size()) - 1};
}

StateId OpCase::latent_state(std::int64_t latent_size, std::int64_t turned_size) {
  const StateId id = state(1, latent_size + turned_size, latent_size);
  program_.states.back().values_in_keys = true;
  return id;
}

std::int32_t OpCase::rope_table(std::int64_t rotary_size, double magnitude) {
  RopeTable table;
  table.magnitude = magnitude;
  for (std::int64_t i = 0; i < rotary_size / 2; ++i) {
    table.inverse_frequencies.push_back(
        std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_size)));
  }
  program_.rope_tables.push_back(std::move(table));
  return static_cast<std::int32_t>(program_.rope_tables.size()) - 1;
}

ops::Routing OpCase::routing(std::int64_t experts, std::int64_t used, Rows rows) {
  program_.experts_used = used;
  ops::Routing out;
  out.experts = output(used, rows, ValueType::i32);
  out.weights = output(used, rows);
  out.places = output(used, rows, ValueType::i32);
  out.tokens = output(1, assignments_of(rows), ValueType::i32);
  out.offsets = output(experts + 1, Rows::once, ValueType::i32);
  return out;
}

void OpCase::before(Instruction instruction) {
  before_.push_back(std::move(instruction));
}

OpCase::Built OpCase::build(const Instruction& instruction, ValueId out) const {
  auto program = std::make_shared<Program>(program_);
  program->instructions.insert(program->instructions.end(), before_.begin(), before_.end());
  program->instructions.push_back(instruction);
  program->logits = out;
  check(*program);
  GgufWriter writer;
  for (std::size_t i = 0; i < program->tensors.size(); ++i) {
    const Tensor& tensor = program->tensors[i];
    writer.add_tensor(tensor.name, tensor.type, {tensor.columns, tensor.rows, tensor.experts},
                      std::span<const std::byte>(tensor_bytes_[i]));
  }
  auto file = GgufFile::from_bytes(writer.to_bytes(), "one operation");
  auto weights = std::make_shared<Weights>(std::move(file), *program);
  return {std::move(program), std::move(weights)};
}

std::int64_t OpCase::first_id(std::size_t sequence) const {
  std::int64_t id = 0;
  for (std::size_t s = 0; s < sequence; ++s) id += sequences_[s].cached + sequences_[s].rows;
  return id;
}

std::int64_t OpCase::page_count() const {
  std::int64_t pages = 0;
  for (const CaseSequence& s : sequences_) {
    pages += (s.cached + s.rows + kPageTokens - 1) / kPageTokens;
  }
  return pages;
}

// Pages are given out from the last to the first, so that no two that follow each other in a
// sequence follow each other in memory.
void OpCase::add_sequence(StepInput& input, std::size_t sequence, std::int64_t first,
                          std::int64_t rows) const {
  std::int64_t used = 0;
  for (std::size_t s = 0; s < sequence; ++s) {
    used += (sequences_[s].cached + sequences_[s].rows + kPageTokens - 1) / kPageTokens;
  }
  StepSequence out;
  out.first_row = static_cast<std::int32_t>(input.ids.size());
  out.row_count = static_cast<std::int32_t>(rows);
  out.cached = first;
  out.page_table_offset = static_cast<std::int32_t>(input.page_table.size());
  out.page_count = static_cast<std::int32_t>((first + rows + kPageTokens - 1) / kPageTokens);
  for (std::int64_t p = 0; p < out.page_count; ++p) {
    input.page_table.push_back(static_cast<std::int32_t>(page_count() - 1 - used - p));
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    input.ids.push_back(static_cast<std::int32_t>(first_id(sequence) + first + r));
    input.positions.push_back(first + r);
  }
  input.sequences.push_back(out);
}

void OpCase::add_angles(StepInput& input) const {
  for (const RopeTable& table : program_.rope_tables) {
    std::vector<float>& angles = input.rope.emplace_back();
    for (const std::int64_t position : input.positions) {
      for (const double frequency : table.inverse_frequencies) {
        const double angle = static_cast<double>(position) * frequency;
        angles.push_back(static_cast<float>(table.magnitude * std::cos(angle)));
        angles.push_back(static_cast<float>(table.magnitude * std::sin(angle)));
      }
    }
  }
}

StepInput OpCase::prefill(std::size_t sequence) const {
  StepInput input;
  add_sequence(input, sequence, 0, sequences_[sequence].cached);
  input.experts_used = program_.experts_used;
  add_angles(input);
  return input;
}

StepInput OpCase::last_step() const {
  StepInput input;
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    add_sequence(input, s, sequences_[s].cached, sequences_[s].rows);
  }
  add_angles(input);
  input.experts_used = program_.experts_used;
  input.output_rows = output_rows;
  if (all_outputs) {
    input.output_rows.resize(input.ids.size());
    std::iota(input.output_rows.begin(), input.output_rows.end(), 0);
  }
  return input;
}

CompileOptions OpCase::compile_options() const {
  CompileOptions options;
  options.threads = threads;
  options.host_executor = host_executor;
  options.precision = precision;
  options.deterministic = deterministic;
  return options;
}

OpCase::Ran OpCase::run_steps(const Device& device, const Built& built, const Tap& tap,
                              TapDetail detail) const {
  const StepInput input = last_step();
  StepLimits limits;
  limits.tokens = input.rows(Rows::tokens);
  for (const CaseSequence& s : sequences_) limits.tokens = std::max(limits.tokens, s.cached);
  limits.outputs = std::max<std::int64_t>(1, input.rows(Rows::outputs));
  limits.heads = limits.outputs;
  limits.sequences = static_cast<std::int64_t>(sequences_.size());
  limits.positions = program_.context;
  const auto compiled = compile(device, built.program, built.weights, compile_options());
  auto runner = compiled->new_runner(
      limits, types, std::vector<std::int64_t>{std::max<std::int64_t>(1, page_count())});
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    if (sequences_[s].cached > 0) run_step(*runner, prefill(s));
  }
  const std::span<const float> result = run_step(*runner, input, tap, detail);
  return {std::move(runner), result};
}

Recorded OpCase::run(const Device& device, const Instruction& instruction, ValueId out) {
  const Built built = build(instruction, out);
  Recorded recorded;
  const int last = static_cast<int>(built.program->instructions.size()) - 1;
  const std::string& name = built.program->value(out).name;
  (void)run_steps(device, built, [&](const TapEvent& event) {
    if (tamper) tamper(event);
    if (event.instruction != last || event.name != name) return;
    recorded = {event.rows,
                event.columns,
                {event.data.begin(), event.data.end()},
                {event.indices.begin(), event.indices.end()}};
  });
  return recorded;
}

OpCase::Fused OpCase::run_fused(const Device& device, const Instruction& instruction, ValueId out) {
  Fused fused;
  const Built built = build(instruction, out);
  const Ran ran = run_steps(
      device, built, [&](const TapEvent&) { ++fused.parts; }, TapDetail::as_run);
  fused.data.assign(ran.result.begin(), ran.result.end());
  auto parts = std::ssize(built.program->instructions);
  const auto lowered =
      device.lower(built.program, all_instructions(*built.program), compile_options());
  for (const Range& group : lowered->fused()) parts -= group.size() - 1;
  EXPECT_EQ(fused.parts, parts) << device.info().name << " runs other groups than it says";
  return fused;
}

std::vector<std::byte> OpCase::pages_after(const Device& device, const Instruction& instruction) {
  const Built built = build(instruction, inputs_.front().value);
  const auto runner = run_steps(device, built, {}).runner;
  StatePool& pool = runner->states();
  const std::uint64_t page_bytes = pool.page_bytes(0);
  std::vector<std::byte> bytes(page_bytes * static_cast<std::uint64_t>(page_count()));
  for (std::int64_t p = 0; p < page_count(); ++p) {
    pool.read_page(0, static_cast<std::int32_t>(p), kPageTokens,
                   std::span(bytes).subspan(static_cast<std::size_t>(p) * page_bytes, page_bytes));
  }
  return bytes;
}

void OpCase::expect_within(const Instruction& instruction, ValueId out, const Bound& bound) {
  const Recorded expected = run(find_device("reference"), instruction, out);
  for (const Device* device : devices_under_test()) {
    const Recorded got = run(*device, instruction, out);
    ASSERT_EQ(got.rows, expected.rows);
    ASSERT_EQ(got.columns, expected.columns);
    double worst = 0;
    Element at;
    for (std::int64_t r = 0; r < got.rows; ++r) {
      for (std::int64_t c = 0; c < got.columns; ++c) {
        const Element element{r, c, static_cast<double>(expected.at(r, c))};
        const double error = std::abs(static_cast<double>(got.at(r, c)) - element.expected);
        const double allowed = bound(element);
        const double ratio = error == 0.0 ? 0.0 : error / allowed;
        if (!(ratio <= worst)) {  // NaN is the worst
          worst = std::isnan(ratio) ? 1e300 : ratio;
          at = element;
        }
      }
    }
    EXPECT_LE(worst, 1.0) << device->info().name << " differs at row " << at.row << ", column "
                          << at.column << ": " << got.at(at.row, at.column) << " instead of "
                          << at.expected << ", allowed " << bound(at);
  }
}

void OpCase::expect_equal(const Instruction& instruction, ValueId out) {
  const Recorded expected = run(find_device("reference"), instruction, out);
  EXPECT_EQ(expected.indices.size(), static_cast<std::size_t>(expected.rows * expected.columns));
  for (const Device* device : devices_under_test()) {
    EXPECT_EQ(run(*device, instruction, out).indices, expected.indices) << device->info().name;
  }
}

std::int64_t OpCase::total_rows() const {
  std::int64_t rows = 0;
  for (const CaseSequence& s : sequences_) rows += s.rows;
  return rows;
}

const std::vector<float>& OpCase::input_table(ValueId id) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].value == id) return tables_[i];
  }
  ADD_FAILURE() << "value " << id.index << " is not an input";
  return tables_.front();
}

std::span<const float> OpCase::input_row(ValueId id, std::int64_t row) const {
  const Value& value = program_.value(id);
  if (value.rows == Rows::outputs && !all_outputs) row = output_rows[static_cast<std::size_t>(row)];
  std::size_t sequence = 0;
  while (row >= sequences_[sequence].rows) row -= sequences_[sequence++].rows;
  const std::int64_t position = first_id(sequence) + sequences_[sequence].cached + row;
  return std::span<const float>(input_table(id))
      .subspan(static_cast<std::size_t>(position * value.columns),
               static_cast<std::size_t>(value.columns));
}

std::vector<std::byte> OpCase::weight_bytes(const WeightOperand& operand, std::int64_t row) const {
  const Tensor& tensor = program_.tensor(operand.tensor);
  const auto& bytes = tensor_bytes_[static_cast<std::size_t>(operand.tensor.index)];
  const std::int64_t index = operand.experts.begin * tensor.rows + operand.rows.begin + row;
  const auto begin =
      bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::uint64_t>(index) *
                                                      row_bytes(tensor.type, tensor.columns) +
                                                  row_bytes(tensor.type, operand.columns.begin));
  return {begin,
          begin + static_cast<std::ptrdiff_t>(row_bytes(tensor.type, operand.columns.size()))};
}

std::vector<float> OpCase::weight_row(const WeightOperand& operand, std::int64_t row) const {
  const std::vector<std::byte> bytes = weight_bytes(operand, row);
  std::vector<float> out(static_cast<std::size_t>(operand.columns.size()));
  dequantize(program_.tensor(operand.tensor).type, bytes, out);
  return out;
}

}  // namespace ingot::test
