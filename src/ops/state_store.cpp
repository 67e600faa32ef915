#include "src/ops/state_store.hpp"

#include "src/ops/support.hpp"

namespace ingot::ops {
namespace {

double stored_bytes(const StateSpec& state, const StepShape& shape) {
  return static_cast<double>(
      state.kv_head_count *
      static_cast<std::int64_t>(state_row_bytes(shape.key_type, state.key_size) +
                                state_row_bytes(shape.value_type, state.value_size)));
}

// Rounds the step's rows into their pages.
void store(const StepInput& input, const Matrix& rows, const StateRows& pages) {
  std::vector<float> head_row(static_cast<std::size_t>(pages.size));
  for (const StepSequence& sequence : input.sequences) {
    for (std::int32_t r = 0; r < sequence.row_count; ++r) {
      const std::int64_t position = sequence.cached + r;
      const std::int32_t page = input.page_table[static_cast<std::size_t>(
          sequence.page_table_offset + position / kPageTokens)];
      const double* row = rows.row(sequence.first_row + r).data();
      for (std::int64_t head = 0; head < pages.kv_head_count; ++head) {
        for (std::int64_t i = 0; i < pages.size; ++i) {
          head_row[static_cast<std::size_t>(i)] = static_cast<float>(row[head * pages.size + i]);
        }
        encode_state_row(pages.type, head_row, pages.row(page, head, position % kPageTokens));
      }
    }
  }
}

}  // namespace

Operands operands(const StateStore& op) {
  Operands used;
  used.reads = {op.key, op.value};
  used.writes_states = {op.state};
  return used;
}

void check(const StateStore& op, const Program& program) {
  const StateSpec& state = program.state(op.state);
  const Value& key = program.value(op.key);
  const Value& value = program.value(op.value);
  require(op, key.rows == Rows::tokens && value.rows == Rows::tokens,
          "stores a row for every token of the step");
  require(op, key.columns == state.kv_head_count * state.key_size, key.name, " should have ",
          state.kv_head_count * state.key_size, " columns");
  require(op, value.columns == state.kv_head_count * state.value_size, value.name, " should have ",
          state.kv_head_count * state.value_size, " columns");
}

Cost cost(const StateStore& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  sum.state_bytes =
      stored_bytes(program.state(op.state), shape) * static_cast<double>(shape.tokens());
  return sum;
}

void print_attributes(std::ostream&, const StateStore&) {}

void reference(const StateStore& op, ReferenceStep& step) {
  store(step.input(), step.value(op.key), step.states().keys(op.state));
  store(step.input(), step.value(op.value), step.states().values(op.state));
}

}  // namespace ingot::ops
