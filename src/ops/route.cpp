#include "src/ops/route.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "src/ops/support.hpp"

namespace ingot::internal::ops {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// The indices of the `count` largest keys, ascending. NaN orders as -infinity.
std::vector<std::size_t> largest(std::vector<double> keys, std::int64_t count) {
  for (double& key : keys) key = std::isnan(key) ? kNever : key;
  std::vector<std::size_t> order(keys.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&keys](std::size_t a, std::size_t b) { return keys[a] > keys[b]; });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<double> probabilities(Gate gate, std::span<const double> logits) {
  std::vector<double> p(logits.begin(), logits.end());
  if (gate == Gate::sigmoid) {
    for (double& x : p) x = 1.0 / (1.0 + std::exp(-x));
    return p;
  }
  const double top = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& x : p) sum += x = std::exp(x - top);
  for (double& x : p) x /= sum;
  return p;
}

// Keys of experts outside of the best groups become -infinity, keys inside stay above it.
void keep_best_groups(const Route& op, std::vector<double>& keys) {
  const std::size_t size = keys.size() / static_cast<std::size_t>(op.group_count);
  std::vector<double> groups;
  for (std::size_t begin = 0; begin < keys.size(); begin += size) {
    std::vector<double> group(keys.begin() + static_cast<std::ptrdiff_t>(begin),
                              keys.begin() + static_cast<std::ptrdiff_t>(begin + size));
    double sum = 0;
    for (const std::size_t i : largest(group, std::min<std::int64_t>(2, std::ssize(group)))) {
      sum += group[i];
    }
    groups.push_back(sum);
  }
  const std::vector<std::size_t> best = largest(groups, op.groups_used);
  for (std::size_t e = 0; e < keys.size(); ++e) {
    if (!std::binary_search(best.begin(), best.end(), e / size)) {
      keys[e] = kNever;
    } else if (!(keys[e] > std::numeric_limits<double>::lowest())) {
      keys[e] = std::numeric_limits<double>::lowest();
    }
  }
}

void choose(const Route& op, std::span<const float> bias, std::span<const double> logits,
            std::span<std::int32_t> experts, std::span<double> weights) {
  const std::vector<double> p = probabilities(op.gate, logits);
  std::vector<double> keys = p;
  for (std::size_t e = 0; e < bias.size(); ++e) keys[e] += static_cast<double>(bias[e]);
  if (op.group_count > 1) keep_best_groups(op, keys);
  // Without a bias the logits order as their probabilities do, and never collapse to equal ones.
  if (bias.empty() && op.group_count == 1) keys.assign(logits.begin(), logits.end());
  const std::vector<std::size_t> chosen = largest(keys, op.used);
  double sum = 0;
  for (const std::size_t e : chosen) sum += p[e];
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    experts[i] = static_cast<std::int32_t>(chosen[i]);
    weights[i] = p[chosen[i]] * op.scale / (op.normalise ? sum : 1.0);
  }
}

}  // namespace

Operands operands(const Route& op) {
  Operands used;
  used.reads = {op.logits};
  used.writes = {op.out.experts, op.out.weights, op.out.places, op.out.tokens, op.out.offsets};
  used.indices = {op.out.experts, op.out.places, op.out.tokens, op.out.offsets};
  if (op.selection_bias) used.weights = {*op.selection_bias};
  return used;
}

void check(const Route& op, const Program& program) {
  const Value& logits = program.value(op.logits);
  const std::int64_t experts = logits.columns;
  require(op, logits.rows == Rows::tokens || logits.rows == Rows::outputs, logits.name,
          " should have a row per token or output");
  require(op, op.used >= 1 && op.used == program.experts_used, "chooses ", op.used,
          " experts in a program of ", program.experts_used);
  require(op, op.used <= kMostUsed, "chooses ", op.used, " experts; at most ", kMostUsed);
  require(op, op.group_count >= 1 && experts % op.group_count == 0, experts,
          " experts do not make ", op.group_count, " groups");
  require(op,
          op.groups_used >= 1 && op.groups_used <= op.group_count &&
              op.used <= op.groups_used * (experts / op.group_count),
          op.used, " experts cannot be chosen among ", op.groups_used, " of ", op.group_count,
          " groups of ", experts / op.group_count);
  if (op.selection_bias) require_vector(op, program, *op.selection_bias, experts);
  const auto require_shape = [&](ValueId id, Rows rows, std::int64_t columns) {
    const Value& value = program.value(id);
    require(op, value.rows == rows && value.columns == columns, value.name, " has a wrong shape");
  };
  require_shape(op.out.experts, logits.rows, op.used);
  require_shape(op.out.weights, logits.rows, op.used);
  require_shape(op.out.places, logits.rows, op.used);
  require_shape(op.out.tokens, assignments_of(logits.rows), 1);
  require_shape(op.out.offsets, Rows::once, experts + 1);
}

Cost cost(const Route& op, const Program& program, const StepShape& shape) {
  Cost sum = traffic(operands(op), program, shape);
  sum.flops = 4 * elements(program, shape, op.logits);
  return sum;
}

void print_attributes(std::ostream& out, const Route& op) {
  out << op.used << " experts, " << (op.gate == Gate::softmax ? "softmax" : "sigmoid");
  if (op.normalise) out << ", normalised";
  if (op.scale != 1.0) out << ", scale " << op.scale;
  if (op.group_count > 1)
    out << ", from " << op.groups_used << " of " << op.group_count << " groups";
}

void reference(const Route& op, ReferenceStep& step) {
  const Matrix logits = step.value(op.logits);
  const IndexMatrix experts = step.indices(op.out.experts);
  const Matrix weights = step.value(op.out.weights);
  const IndexMatrix places = step.indices(op.out.places);
  const IndexMatrix tokens = step.indices(op.out.tokens);
  const IndexMatrix offsets = step.indices(op.out.offsets);
  std::vector<float> bias;
  if (op.selection_bias) bias = step.weight_row(*op.selection_bias, 0);
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    choose(op, bias, logits.row(t), experts.row(t), weights.row(t));
  }
  std::int32_t place = 0;
  for (std::int64_t e = 0; e < logits.columns; ++e) {
    offsets.all()[static_cast<std::size_t>(e)] = place;
    for (std::int64_t t = 0; t < logits.rows; ++t) {
      for (std::int64_t i = 0; i < op.used; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (experts.row(t)[at] != e) continue;
        places.row(t)[at] = place;
        tokens.all()[static_cast<std::size_t>(place++)] = static_cast<std::int32_t>(t);
      }
    }
  }
  offsets.all().back() = place;
}

}  // namespace ingot::internal::ops
