#include "src/ops/latent_attention.hpp"

#include "src/ops/support.hpp"

namespace ingot::internal::ops {

HeadWeight key_weight(const LatentAttention& op, std::int64_t head) {
  HeadWeight out{op.keys, op.values.has_value()};
  if (op.values) {
    out.weight.experts = {op.keys.experts.begin + head, op.keys.experts.begin + head + 1};
  } else {
    const std::int64_t first = op.keys.rows.begin + head * (op.plain_size + op.value_size);
    out.weight.rows = {first, first + op.plain_size};
  }
  return out;
}

HeadWeight value_weight(const LatentAttention& op, std::int64_t head) {
  HeadWeight out{op.values.value_or(op.keys), false};
  if (op.values) {
    out.weight.experts = {op.values->experts.begin + head, op.values->experts.begin + head + 1};
  } else {
    const std::int64_t first =
        op.keys.rows.begin + head * (op.plain_size + op.value_size) + op.plain_size;
    out.weight.rows = {first, first + op.value_size};
  }
  return out;
}

Operands operands(const LatentAttention& op) {
  Operands used;
  used.reads = {op.query};
  used.writes = {op.out};
  used.weights = {op.keys};
  if (op.values) used.weights.push_back(*op.values);
  used.reads_states = {op.state};
  return used;
}

void check(const LatentAttention& op, const Program& program) {
  const StateSpec& state = program.state(op.state);
  const Value& query = program.value(op.query);
  const Value& out = program.value(op.out);
  require(op, op.head_count > 0 && op.plain_size > 0 && op.turned_size > 0 && op.value_size > 0,
          "sizes must be positive");
  require(op, state.values_in_keys && state.kv_head_count == 1, state.name,
          " should be a latent state");
  require(op, program.state_groups[static_cast<std::size_t>(state.group)].window == 0, state.name,
          " should keep every position");
  const std::int64_t latent = state.value_size;
  require(op, state.key_size == latent + op.turned_size, state.name, " should have rows of ",
          latent + op.turned_size);
  const std::int64_t query_size = op.head_count * (op.plain_size + op.turned_size);
  require(op, query.rows == Rows::tokens && query.columns == query_size, query.name,
          " should be [tokens, ", query_size, "]");
  require(op, out.rows == Rows::tokens && out.columns == op.head_count * op.value_size, out.name,
          " should be [tokens, ", op.head_count * op.value_size, "]");
  const auto shaped = [&](const WeightOperand& weight, std::int64_t experts, std::int64_t rows,
                          std::int64_t columns) {
    require(op,
            weight.experts.size() == experts && weight.rows.size() == rows &&
                weight.columns.size() == columns,
            program.tensor(weight.tensor).name, " should be [", experts, ", ", rows, ", ", columns,
            "]");
  };
  if (op.values) {
    shaped(op.keys, op.head_count, latent, op.plain_size);
    shaped(*op.values, op.head_count, op.value_size, latent);
  } else {
    shaped(op.keys, 1, op.head_count * (op.plain_size + op.value_size), latent);
  }
}

// Counted as absorbed: what reads least, and computes least while the step has fewer rows than
// the cache has positions.
Cost cost(const LatentAttention& op, const Program& program, const StepShape& shape) {
  const StateSpec& state = program.state(op.state);
  Cost sum = traffic(operands(op), program, shape);
  const auto heads = static_cast<double>(op.head_count);
  sum.flops = 2 * heads *
              (shape.attended_pairs(0) * static_cast<double>(state.key_size + state.value_size) +
               static_cast<double>(shape.tokens()) *
                   static_cast<double>(state.value_size * (op.plain_size + op.value_size)));
  const auto row = static_cast<double>(state_row_bytes(shape.key_type, state.key_size));
  for (const StepShape::Sequence& s : shape.sequences) {
    sum.state_bytes += row * static_cast<double>(s.cached + s.rows);
  }
  return sum;
}

void print_attributes(std::ostream& out, const LatentAttention& op) {
  out << op.head_count << " heads of " << op.plain_size << " + " << op.turned_size << " and "
      << op.value_size << ", scale " << op.scale;
}

}  // namespace ingot::internal::ops
