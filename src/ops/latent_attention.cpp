#include "src/ops/latent_attention.hpp"

#include <Eigen/Core>
#include <algorithm>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// One head's weight, decoded, the right way round.
RowMajor decoded(const ReferenceStep& step, const HeadWeight& head) {
  RowMajor matrix(head.weight.rows.size(), head.weight.columns.size());
  for (std::int64_t r = 0; r < matrix.rows(); ++r) {
    const std::vector<float> row = step.weight_row(head.weight, r);
    std::copy(row.begin(), row.end(), matrix.data() + r * matrix.cols());
  }
  if (head.transposed) return matrix.transpose();
  return matrix;
}

// All stored rows of one sequence, decoded: [positions, latent + turned].
RowMajor gather(const std::int32_t* page_table, const StepSequence& sequence,
                const StateRows& pages) {
  const std::int64_t positions = sequence.cached + sequence.row_count;
  RowMajor rows(positions, pages.size);
  std::vector<float> row(static_cast<std::size_t>(pages.size));
  for (std::int64_t p = 0; p < positions; ++p) {
    decode_state_row(pages.type, pages.row(page_table[p / kPageTokens], 0, p % kPageTokens), row);
    std::copy(row.begin(), row.end(), rows.data() + p * pages.size);
  }
  return rows;
}

}  // namespace

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

void reference(const LatentAttention& op, ReferenceStep& step) {
  const StateRows& pages = step.states().keys(op.state);
  const std::int64_t latent = step.states().values(op.state).size;
  const std::int64_t query_size = op.plain_size + op.turned_size;
  const Matrix query = step.value(op.query);
  const Matrix out = step.value(op.out);
  const std::int32_t group = step.program().state(op.state).group;
  for (const StepSequence& sequence : step.input().sequences) {
    const RowMajor rows = gather(step.input().pages(sequence, group), sequence, pages);
    for (std::int64_t head = 0; head < op.head_count; ++head) {
      RowMajor keys(rows.rows(), query_size);
      keys.leftCols(op.plain_size) =
          rows.leftCols(latent) * decoded(step, key_weight(op, head)).transpose();
      keys.rightCols(op.turned_size) = rows.rightCols(op.turned_size);
      const RowMajor values =
          rows.leftCols(latent) * decoded(step, value_weight(op, head)).transpose();
      for (std::int64_t r = 0; r < sequence.row_count; ++r) {
        const std::int64_t row = sequence.first_row + r;
        const std::int64_t visible = sequence.cached + r + 1;
        const Eigen::Map<const Eigen::VectorXd> q(query.row(row).data() + head * query_size,
                                                  query_size);
        Eigen::VectorXd weights = op.scale * (keys.topRows(visible) * q);
        weights = (weights.array() - weights.maxCoeff()).exp();
        Eigen::Map<Eigen::RowVectorXd>(out.row(row).data() + head * op.value_size, op.value_size) =
            weights.transpose() * values.topRows(visible) / weights.sum();
      }
    }
  }
}

}  // namespace ingot::internal::ops
