#include "src/device/error_bound.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/device/error_sums.hpp"

namespace ingot::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargestFloat = std::numeric_limits<float>::max();

// Values leave every device as f32.
constexpr double kShown = kF32Unit;
constexpr double kShownLeast = 0x1p-150;

double root(std::int64_t count) {
  return std::sqrt(static_cast<double>(count));
}

// The exponent of the e^x that a function of x is computed with.
double exponent(ops::ActivationKind kind, double x) {
  switch (kind) {
    case ops::ActivationKind::silu:
    case ops::ActivationKind::sigmoid: return x;
    case ops::ActivationKind::gelu_quick: return 1.702 * x;
    case ops::ActivationKind::gelu_tanh: return 1.59576912 * (x + 0.044715 * x * x * x);
    case ops::ActivationKind::gelu: break;
  }
  return 0;
}

// A group of a norm: by how much its factor, and each element before the weight, may be off.
struct GroupError {
  double factor = 0;  ///< relative
  double shift = 0;   ///< of x - mean, in multiples of the factor
};

}  // namespace

ErrorBound::Bounds ErrorBound::scaled_norms(ValueId id, double factor) const {
  const RecordedValue& recorded = value(id);
  Bounds out;
  for (std::int64_t r = 0; r < recorded.rows; ++r) out.push_back(factor * norm(recorded.row(r)));
  return out;
}

std::vector<float> ErrorBound::vector(const std::optional<WeightOperand>& operand) const {
  std::vector<float> out;
  if (!operand) return out;
  out.resize(static_cast<std::size_t>(operand->columns.size()));
  decode_row(step_.program, step_.weights, *operand, 0, 0, out);
  return out;
}

std::vector<double> ErrorBound::rows(const Instruction& instruction, ValueId out) const {
  const Value& shown = step_.program.value(out);
  if (shown.type == ValueType::i32) return Bounds(static_cast<std::size_t>(value(out).rows), 0.0);
  Bounds bounds = scaled_norms(out, kShown);
  for (double& row : bounds) row += kShownLeast * root(shown.columns);
  if (arithmetic_.unit == 0) return bounds;
  const Bounds computed = std::visit([&](const auto& op) { return bound(op, out); }, instruction);
  for (std::size_t r = 0; r < bounds.size(); ++r) {
    bounds[r] += computed[r] + arithmetic_.smallest * root(shown.columns);
  }
  return bounds;
}

// Copies of stored numbers.
ErrorBound::Bounds ErrorBound::bound(const ops::EmbedRows&, ValueId out) const {
  return scaled_norms(out, 0.0);
}
ErrorBound::Bounds ErrorBound::bound(const ops::SelectRows&, ValueId out) const {
  return scaled_norms(out, 0.0);
}
ErrorBound::Bounds ErrorBound::bound(const ops::StateStore&, ValueId) const {
  return {};
}

ErrorBound::Bounds ErrorBound::bound(const ops::Add&, ValueId out) const {
  return scaled_norms(out, arithmetic_.unit);
}

// The product, and the factor.
ErrorBound::Bounds ErrorBound::bound(const ops::Scale&, ValueId out) const {
  return scaled_norms(out, 2 * arithmetic_.unit);
}

// Two products and a sum per element, of at most 2u(|a c| + |b s|) <= 2u magnitude |(a, b)|, for
// both elements of a pair: 2 sqrt 2. The table is the same on all devices.
ErrorBound::Bounds ErrorBound::bound(const ops::Rope& op, ValueId) const {
  const RopeTable& table = step_.program.rope_tables[static_cast<std::size_t>(op.table)];
  Bounds out = scaled_norms(op.in, 3 * arithmetic_.unit * std::max(1.0, table.magnitude));
  for (double& row : out) {
    if (!(row < kLargestFloat * arithmetic_.unit)) row = kInfinity;
  }
  return out;
}

double ErrorBound::function_error(ops::ActivationKind kind, double x) const {
  // e^v is off by its own error and by |v| times that of v, which six operations make; quotient and
  // product add four. An e^v that counts as zero takes the whole of what it is multiplied with.
  const double y = std::abs(ops::apply(kind, x));
  if (kind == ops::ActivationKind::gelu) return 6 * arithmetic_.unit * std::abs(x);
  const double v = std::min(std::abs(exponent(kind, x)), 100.0);
  return (arithmetic_.exponential + (6 * v + 4) * arithmetic_.unit) * y +
         arithmetic_.least_exponential * std::max(1.0, std::abs(x));
}

ErrorBound::Bounds ErrorBound::bound(const ops::Activation& op, ValueId) const {
  const RecordedValue& in = value(op.in);
  Bounds out;
  for (std::int64_t r = 0; r < in.rows; ++r) {
    double square = 0;
    for (const float x : in.row(r)) {
      const double error = function_error(op.kind, static_cast<double>(x));
      square += error * error;
    }
    out.push_back(std::sqrt(square));
  }
  return out;
}

ErrorBound::Bounds ErrorBound::bound(const ops::Glu& op, ValueId) const {
  const RecordedValue& gates = value(op.gate);
  const RecordedValue& ups = value(op.up);
  Bounds out;
  for (std::int64_t r = 0; r < ups.rows; ++r) {
    double square = 0;
    for (std::size_t i = 0; i < ups.row(r).size(); ++i) {
      auto gate = static_cast<double>(gates.row(r)[gates.columns == 1 ? 0 : i]);
      auto up = static_cast<double>(ups.row(r)[i]);
      double own = 2 * arithmetic_.unit;  // the product, and a sum of up's
      if (op.limit > 0) {
        gate = std::min(gate, op.limit);
        up = std::clamp(up, -op.limit, op.limit) + 1;
        own += arithmetic_.unit * (op.limit + 1);
      }
      const double error = function_error(op.kind, gate) * std::abs(up) +
                           own * std::abs(ops::apply(op.kind, gate)) * std::max(std::abs(up), 1.0);
      square += error * error;
    }
    out.push_back(std::sqrt(square));
  }
  return out;
}

// A sum of squares of one sign, whose error the root halves; the factor, and products with it and
// the weight. A layer norm's mean is off by a share of the mean magnitude, which shifts every
// element and adds its square to the variance.
ErrorBound::Bounds ErrorBound::bound(const ops::Norm& op, ValueId out) const {
  const RecordedValue& in = value(op.in);
  const RecordedValue& y = value(out);
  const std::vector<float> weight = vector(op.weight);
  const std::vector<float> bias = vector(op.bias);
  const double unit = arithmetic_.unit;
  const double roundings = model_.norm_roundings(op.group_size);
  const auto size = static_cast<double>(op.group_size);
  const auto group_error = [&](std::span<const float> x) -> GroupError {
    double mean = 0;
    double magnitude = 0;
    for (const float v : x) {
      mean += static_cast<double>(v) / size;
      magnitude += std::abs(static_cast<double>(v)) / size;
    }
    double shift = unit * (roundings * magnitude + 2 * std::abs(mean));
    if (op.kind == ops::NormKind::rms) mean = shift = 0;
    double square = 0;
    double chunk = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i % static_cast<std::size_t>(arithmetic_.squares_in_f32) == 0) chunk = 0;
      const double distance = static_cast<double>(x[i]) - mean;
      square += distance * distance;
      chunk += distance * distance;
      if (chunk > kLargestFloat / 2) return {kInfinity, 0.0};
    }
    const double variance = square / size + op.epsilon;
    shift /= std::sqrt(variance);
    return {(roundings / 2 + 5) * unit + arithmetic_.smallest / variance + shift, shift};
  };
  Bounds bounds;
  for (std::int64_t r = 0; r < in.rows; ++r) {
    double square = 0;
    for (std::int64_t begin = 0; begin < in.columns; begin += op.group_size) {
      const auto first = static_cast<std::size_t>(begin);
      const auto count = static_cast<std::size_t>(op.group_size);
      const GroupError group = group_error(in.row(r).subspan(first, count));
      for (std::size_t i = first; i < first + count; ++i) {
        const double w = weight.empty() ? 1.0 : static_cast<double>(weight[i % weight.size()]);
        const double b = bias.empty() ? 0.0 : static_cast<double>(bias[i % bias.size()]);
        const auto shown = static_cast<double>(y.row(r)[i]);
        const double error = group.shift * std::abs(w) + group.factor * std::abs(shown - b) +
                             unit * std::abs(shown) + arithmetic_.smallest * std::abs(w);
        square += error * error;
      }
    }
    bounds.push_back(std::sqrt(square));
  }
  return bounds;
}

// An exponential over a sum of them, and the scale. Indices are equal.
ErrorBound::Bounds ErrorBound::bound(const ops::Route& op, ValueId out) const {
  const RecordedValue& logits = value(op.logits);
  Bounds bounds = scaled_norms(out, 1.0);
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    double most = 0;
    for (const float x : logits.row(r)) most = std::max(most, std::abs(static_cast<double>(x)));
    const double gate =
        arithmetic_.gate == 0 ? 0.0 : arithmetic_.gate + 2 * most * arithmetic_.unit;
    bounds[static_cast<std::size_t>(r)] *= 2 * gate + 2 * arithmetic_.unit;
  }
  return bounds;
}

// Products and their sum over the experts used.
ErrorBound::Bounds ErrorBound::bound(const ops::ExpertCombine& op, ValueId) const {
  const RecordedValue& in = value(op.in);
  const RecordedValue& weights = value(op.routing.weights);
  const RecordedValue& places = value(op.routing.places);
  Bounds bounds;
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    double sum = 0;
    for (std::size_t i = 0; i < weights.row(r).size(); ++i) {
      const std::int64_t place = ops::safe_index(places.index_row(r)[i], in.rows);
      sum += std::abs(static_cast<double>(weights.row(r)[i])) * norm(in.row(place));
    }
    bounds.push_back((static_cast<double>(weights.columns) + 1) * arithmetic_.unit * sum);
  }
  return bounds;
}

}  // namespace ingot::internal
