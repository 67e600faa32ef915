// An OpCase whose tokens have been routed to experts before the operation under test.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "src/device/registry.hpp"
#include "tests/support/op_case.hpp"

namespace ingot::test {

/// How tokens spread over experts: by chance, or all to the same ones.
enum class Load { even, hot };

/// What the rows of an input are.
enum class Order { tokens, grouped };

class ExpertCase : public OpCase {
 public:
  /// Tokens that are routed are those of `outputs`, where it is given.
  ExpertCase(std::int64_t rows, std::int64_t experts, std::int64_t used, Load load,
             std::optional<std::vector<std::int32_t>> outputs = std::nullopt)
      : OpCase({{0, rows}}, static_cast<std::uint32_t>(rows + experts)),
        experts_(experts),
        token_rows_(outputs ? Rows::outputs : Rows::tokens) {
    if (outputs) {
      all_outputs = false;
      output_rows = *std::move(outputs);
    }
    route_.logits = load == Load::even ? input(experts, 2.0, token_rows_) : hot_logits(rows);
    route_.used = used;
    route_.out = routing(experts, used, token_rows_);
    const Device& reference = find_device("reference");
    tokens_ = run(reference, route_, route_.out.tokens);
    offsets_ = run(reference, route_, route_.out.offsets);
    weights_ = run(reference, route_, route_.out.weights);
    places_ = run(reference, route_, route_.out.places);
    before(route_);
  }

  std::int64_t experts() const { return experts_; }
  std::int64_t used() const { return route_.used; }
  Rows token_rows() const { return token_rows_; }
  Rows assignment_rows() const { return assignments_of(token_rows_); }
  const ops::Routing& routed() const { return route_.out; }

  std::int64_t token_of(std::int64_t row) const { return tokens_.index_at(row, 0); }
  std::int64_t expert_of(std::int64_t row) const {
    std::int64_t expert = 0;
    while (offsets_.index_at(0, expert + 1) <= row) ++expert;
    return expert;
  }
  std::int64_t rows_of(std::int64_t expert) const {
    return offsets_.index_at(0, expert + 1) - offsets_.index_at(0, expert);
  }
  float weight(std::int64_t token, std::int64_t rank) const { return weights_.at(token, rank); }
  std::int64_t place(std::int64_t token, std::int64_t rank) const {
    return places_.index_at(token, rank);
  }

  /// Rows per token; `source()` is them.
  ValueId source() const { return source_; }

  /// The rows of `source`, each once per expert of its token and in grouped order: every expert
  /// multiplies with the identity, which is exact.
  ValueId grouped(std::int64_t columns) {
    source_ = input(columns, 1.0, token_rows_);
    std::vector<float> data(static_cast<std::size_t>(experts_ * columns * columns), 0.0F);
    for (std::int64_t i = 0; i < experts_ * columns; ++i) {
      data[static_cast<std::size_t>(i * columns + i % columns)] = 1.0F;
    }
    ops::ExpertMatMul copy;
    copy.in = source_;
    copy.routing = route_.out;
    copy.parts.push_back({all_experts(tensor_of(std::move(data), columns, columns, experts_)),
                          std::nullopt, output(columns, assignment_rows())});
    before(copy);
    return copy.parts.front().out;
  }

  /// An ExpertMatMul without parts.
  ops::ExpertMatMul expert_matmul(std::int64_t columns, Order order) {
    ops::ExpertMatMul op;
    op.routing = route_.out;
    if (order == Order::grouped) {
      op.in = grouped(columns);
    } else {
      op.in = source_ = input(columns, 1.0, token_rows_);
    }
    return op;
  }

  /// An F32 bias for each expert.
  WeightOperand all_biases(std::int64_t size) { return whole(tensor(DType::F32, size, experts_)); }

 private:
  ValueId hot_logits(std::int64_t rows) {
    std::vector<float> logits;
    for (std::int64_t i = 0; i < rows * experts_; ++i) {
      logits.push_back(static_cast<float>(-(i % experts_)));
    }
    return input_of(experts_, std::move(logits), token_rows_);
  }

  std::int64_t experts_;
  Rows token_rows_;
  ops::Route route_;
  ValueId source_;
  Recorded tokens_;
  Recorded offsets_;
  Recorded weights_;
  Recorded places_;
};

}  // namespace ingot::test
