#include "src/ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {
namespace {

// The stored rows of one KV head of one sequence from position `first` on, decoded: [positions,
// size], zero before `first`.
std::vector<double> gather(const std::int32_t* page_table, const StepSequence& sequence,
                           std::int64_t first, const StateRows& pages, std::int64_t head) {
  const std::int64_t positions = sequence.cached + sequence.row_count;
  std::vector<double> rows(static_cast<std::size_t>(positions * pages.size));
  std::vector<float> row(static_cast<std::size_t>(pages.size));
  for (std::int64_t p = first; p < positions; ++p) {
    decode_state_row(pages.type, pages.row(page_table[p / kPageTokens], head, p % kPageTokens),
                     row);
    std::copy(row.begin(), row.end(), rows.begin() + p * pages.size);
  }
  return rows;
}

// One query row against positions [first, last]: scores become weights in place; the sink takes its
// share of the denominator and adds nothing.
void softmax(std::span<double> scores, double sink) {
  double top = sink;
  for (const double s : scores) top = std::max(top, s);
  double sum = std::exp(sink - top);
  for (double& s : scores) {
    s = std::exp(s - top);
    sum += s;
  }
  for (double& s : scores) s /= sum;
}

}  // namespace

Operands operands(const Attention& op) {
  Operands used;
  used.reads = {op.query};
  used.writes = {op.out};
  if (op.sinks) used.weights = {*op.sinks};
  used.reads_states = {op.state};
  return used;
}

void check(const Attention& op, const Program& program) {
  const StateSpec& state = program.state(op.state);
  const Value& query = program.value(op.query);
  const Value& out = program.value(op.out);
  require(op, op.head_count > 0 && op.head_count % state.kv_head_count == 0, op.head_count,
          " query heads cannot share ", state.kv_head_count, " KV heads");
  require(op, query.rows == Rows::tokens && query.columns == op.head_count * state.key_size,
          query.name, " should be [tokens, ", op.head_count * state.key_size, "]");
  require(op, out.rows == Rows::tokens && out.columns == op.head_count * state.value_size, out.name,
          " should be [tokens, ", op.head_count * state.value_size, "]");
  const std::int64_t kept = program.state_groups[static_cast<std::size_t>(state.group)].window;
  require(op, kept == 0 || (op.window > 0 && op.window <= kept), state.name, " keeps ", kept,
          " positions, fewer than are looked at");
  require(op, !state.values_in_keys, state.name, " is a latent state");
  require(op, op.window >= 0 && op.soft_cap >= 0, "window and soft cap cannot be negative");
  if (op.sinks) require_vector(op, program, *op.sinks, op.head_count);
}

Cost cost(const Attention& op, const Program& program, const StepShape& shape) {
  const StateSpec& state = program.state(op.state);
  Cost sum = traffic(operands(op), program, shape);
  sum.flops = 2 * shape.attended_pairs(op.window) *
              static_cast<double>(op.head_count * (state.key_size + state.value_size));
  const auto row = static_cast<double>(state_row_bytes(shape.key_type, state.key_size) +
                                       state_row_bytes(shape.value_type, state.value_size));
  // Each sequence's visible rows are read once per step, whatever its number of query rows.
  for (const StepShape::Sequence& s : shape.sequences) {
    const std::int64_t all = s.cached + s.rows;
    const std::int64_t visible = op.window > 0 ? std::min(all, op.window + s.rows - 1) : all;
    sum.state_bytes += row * static_cast<double>(state.kv_head_count * visible);
  }
  return sum;
}

void print_attributes(std::ostream& out, const Attention& op) {
  out << op.head_count << " heads, scale " << op.scale;
  if (op.window > 0) out << ", window " << op.window;
  if (op.soft_cap > 0) out << ", soft cap " << op.soft_cap;
}

void reference(const Attention& op, ReferenceStep& step) {
  const StateRows& key_pages = step.states().keys(op.state);
  const StateRows& value_pages = step.states().values(op.state);
  const std::int64_t key_size = key_pages.size;
  const std::int64_t value_size = value_pages.size;
  const std::int64_t share = op.head_count / key_pages.kv_head_count;
  const Matrix query = step.value(op.query);
  const Matrix out = step.value(op.out);
  std::vector<float> sinks;
  if (op.sinks) sinks = step.weight_row(*op.sinks, 0);

  const std::int32_t group = step.program().state(op.state).group;
  for (const StepSequence& sequence : step.input().sequences) {
    const std::int32_t* page_table = step.input().pages(sequence, group);
    const std::int64_t seen =
        op.window > 0 ? std::max<std::int64_t>(0, sequence.cached - op.window + 1) : 0;
    for (std::int64_t kv_head = 0; kv_head < key_pages.kv_head_count; ++kv_head) {
      const std::vector<double> keys = gather(page_table, sequence, seen, key_pages, kv_head);
      const std::vector<double> values = gather(page_table, sequence, seen, value_pages, kv_head);
      for (std::int64_t r = 0; r < sequence.row_count; ++r) {
        const std::int64_t last = sequence.cached + r;
        const std::int64_t first =
            op.window > 0 ? std::max<std::int64_t>(0, last - op.window + 1) : 0;
        std::vector<double> scores(static_cast<std::size_t>(last - first + 1));
        for (std::int64_t head = kv_head * share; head < (kv_head + 1) * share; ++head) {
          const double* q = query.row(sequence.first_row + r).data() + head * key_size;
          for (std::int64_t p = first; p <= last; ++p) {
            double dot = 0;
            for (std::int64_t i = 0; i < key_size; ++i) {
              dot += q[i] * keys[static_cast<std::size_t>(p * key_size + i)];
            }
            dot *= op.scale;
            if (op.soft_cap > 0) dot = op.soft_cap * std::tanh(dot / op.soft_cap);
            scores[static_cast<std::size_t>(p - first)] = dot;
          }
          softmax(scores, sinks.empty()
                              ? -std::numeric_limits<double>::infinity()
                              : static_cast<double>(sinks[static_cast<std::size_t>(head)]));
          double* y = out.row(sequence.first_row + r).data() + head * value_size;
          std::fill(y, y + value_size, 0.0);
          for (std::int64_t p = first; p <= last; ++p) {
            const double weight = scores[static_cast<std::size_t>(p - first)];
            for (std::int64_t i = 0; i < value_size; ++i) {
              y[i] += weight * values[static_cast<std::size_t>(p * value_size + i)];
            }
          }
        }
      }
    }
  }
}

}  // namespace ingot::internal::ops
