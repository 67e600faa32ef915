#include "src/ops/state_store.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {
namespace {

// Rounds the step's rows into their pages. `row_of` gives a row of the step: all KV heads.
template <class RowOf>
void store(const StepInput& input, std::int32_t group, const StateRows& pages, RowOf row_of) {
  std::vector<float> head_row(static_cast<std::size_t>(pages.size));
  for (const StepSequence& sequence : input.sequences) {
    for (std::int32_t r = 0; r < sequence.row_count; ++r) {
      const std::int64_t position = sequence.cached + r;
      const std::int32_t page = input.pages(sequence, group)[position / kPageTokens];
      const std::vector<double> row = row_of(sequence.first_row + r);
      for (std::int64_t head = 0; head < pages.kv_head_count; ++head) {
        for (std::int64_t i = 0; i < pages.size; ++i) {
          head_row[static_cast<std::size_t>(i)] =
              static_cast<float>(row[static_cast<std::size_t>(head * pages.size + i)]);
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
  const std::int64_t key_size =
      state.values_in_keys ? state.key_size - state.value_size : state.key_size;
  require(op, key.columns == state.kv_head_count * key_size, key.name, " should have ",
          state.kv_head_count * key_size, " columns");
  require(op, value.columns == state.kv_head_count * state.value_size, value.name, " should have ",
          state.kv_head_count * state.value_size, " columns");
}

Cost cost(const StateStore& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  const CacheTypes types{shape.key_type, shape.value_type};
  sum.state_bytes = static_cast<double>(state_position_bytes(program.state(op.state), types)) *
                    static_cast<double>(shape.tokens());
  return sum;
}

void print_attributes(std::ostream&, const StateStore&) {}

void reference(const StateStore& op, ReferenceStep& step) {
  const Matrix keys = step.value(op.key);
  const Matrix values = step.value(op.value);
  const auto row = [](const Matrix& matrix, std::int64_t index) {
    const auto whole = matrix.row(index);
    return std::vector<double>(whole.begin(), whole.end());
  };
  const StateSpec& state = step.program().state(op.state);
  if (state.values_in_keys) {
    store(step.input(), state.group, step.states().keys(op.state), [&](std::int64_t r) {
      std::vector<double> joined = row(values, r);
      const auto key = keys.row(r);
      joined.insert(joined.end(), key.begin(), key.end());
      return joined;
    });
    return;
  }
  store(step.input(), state.group, step.states().keys(op.state),
        [&](std::int64_t r) { return row(keys, r); });
  store(step.input(), state.group, step.states().values(op.state),
        [&](std::int64_t r) { return row(values, r); });
}

}  // namespace ingot::internal::ops
