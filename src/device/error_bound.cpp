#include "src/device/error_bound.hpp"

#include <algorithm>
#include <cmath>

namespace ingot::internal {
namespace {

constexpr double kUnit = 5.9604644775390625e-08;  // 2^-24, the rounding of one f32 operation

// Rounding errors are treated as independent: their sum grows with the root of their number. Four
// standard deviations of a Euclidean norm over a row is beyond what chance gives.
constexpr double kSafety = 4.0;

double norm(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

// Sums of squares of each column of a weight.
std::vector<double> column_squares(const Program& program, const Weights& weights,
                                   const WeightOperand& operand, std::int64_t expert = 0) {
  std::vector<double> squares(static_cast<std::size_t>(operand.columns.size()), 0.0);
  std::vector<float> row(squares.size());
  for (std::int64_t r = 0; r < operand.rows.size(); ++r) {
    decode_row(program, weights, operand, expert, r, row);
    for (std::size_t k = 0; k < row.size(); ++k) {
      squares[k] += static_cast<double>(row[k]) * static_cast<double>(row[k]);
    }
  }
  return squares;
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

bool keeps_f32_products(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

// |W diag(e)|_F over the input columns k, where e_k is the uncertainty of the products x_k w_k:
//   accumulation in f32: 2^-24 sqrt(K) |x_k|;
//   activations rounded to int8 in blocks of 32 with step s: s / sqrt(12).
// `squares` are W's column_squares.
double product_bound(std::span<const float> x, const std::vector<double>& squares, bool int8) {
  const double accumulation = kUnit * std::sqrt(static_cast<double>(x.size()));
  double sum = 0;
  for (std::size_t begin = 0; begin < x.size(); begin += 32) {
    const auto block = x.subspan(begin, std::min<std::size_t>(32, x.size() - begin));
    double most = 0;
    for (const float v : block) most = std::max(most, std::abs(static_cast<double>(v)));
    const double step = int8 ? most / 127 : 0.0;
    for (std::size_t i = 0; i < block.size(); ++i) {
      const double rounding = accumulation * static_cast<double>(block[i]);
      sum += squares[begin + i] * (step * step / 12 + rounding * rounding);
    }
  }
  return kSafety * std::sqrt(sum);
}

// The largest head norm of a recorded value, over all its rows.
double largest_head(const RecordedValue& value, std::int64_t size) {
  double most = 0;
  for (std::int64_t r = 0; r < value.rows; ++r) {
    for (std::int64_t c = 0; c < value.columns; c += size) {
      most = std::max(most, norm(value.row(r).subspan(static_cast<std::size_t>(c),
                                                      static_cast<std::size_t>(size))));
    }
  }
  return most;
}

}  // namespace

std::vector<double> ErrorBound::scaled_norms(ValueId id, double factor) const {
  const RecordedValue& recorded = value(id);
  std::vector<double> out;
  for (std::int64_t r = 0; r < recorded.rows; ++r) out.push_back(factor * norm(recorded.row(r)));
  return out;
}

RecordedValue ErrorBound::decoded(const ops::HeadWeight& head) const {
  const WeightOperand& weight = head.weight;
  const std::int64_t rows = head.transposed ? weight.columns.size() : weight.rows.size();
  const std::int64_t columns = head.transposed ? weight.rows.size() : weight.columns.size();
  RecordedValue out{rows, columns, std::vector<float>(static_cast<std::size_t>(rows * columns))};
  std::vector<float> row(static_cast<std::size_t>(weight.columns.size()));
  for (std::int64_t r = 0; r < weight.rows.size(); ++r) {
    decode_row(program_, weights_, weight, 0, r, row);
    for (std::int64_t c = 0; c < weight.columns.size(); ++c) {
      const std::int64_t at = head.transposed ? c * columns + r : r * columns + c;
      out.data[static_cast<std::size_t>(at)] = row[static_cast<std::size_t>(c)];
    }
  }
  return out;
}

// Copies of stored numbers: only the rounding of the comparison itself.
template <>
std::vector<double> ErrorBound::bound(const ops::EmbedRows&, ValueId out) const {
  return scaled_norms(out, 2 * kUnit);
}
template <>
std::vector<double> ErrorBound::bound(const ops::SelectRows&, ValueId out) const {
  return scaled_norms(out, 2 * kUnit);
}
template <>
std::vector<double> ErrorBound::bound(const ops::StateStore&, ValueId) const {
  return {};
}

// One rounding per element.
template <>
std::vector<double> ErrorBound::bound(const ops::Add&, ValueId out) const {
  return scaled_norms(out, 2 * kUnit);
}
template <>
std::vector<double> ErrorBound::bound(const ops::Scale&, ValueId out) const {
  return scaled_norms(out, 2 * kUnit);
}

// Two products and a sum per element; table entries are the same bits on both sides.
template <>
std::vector<double> ErrorBound::bound(const ops::Rope& op, ValueId) const {
  const double magnitude = program_.rope_tables[static_cast<std::size_t>(op.table)].magnitude;
  return scaled_norms(op.in, kSafety * kUnit * std::max(1.0, magnitude));
}

// f(x) never exceeds |x|; a 4-ulp exp and the 1 + tanh of a large negative argument cost at most 32
// roundings of x.
template <>
std::vector<double> ErrorBound::bound(const ops::Activation& op, ValueId) const {
  std::vector<double> bounds = scaled_norms(op.in, 32 * kUnit);
  if (op.kind == ops::ActivationKind::sigmoid) {
    // At most 1, and |x| times its slope at most 0.3.
    const double all_ones = std::sqrt(static_cast<double>(value(op.in).columns));
    for (double& row : bounds) row = 42 * kUnit * all_ones;
  }
  return bounds;
}
template <>
std::vector<double> ErrorBound::bound(const ops::Glu& op, ValueId) const {
  const RecordedValue& gate = value(op.gate);
  const RecordedValue& up = value(op.up);
  std::vector<double> out;
  for (std::int64_t r = 0; r < up.rows; ++r) {
    double sum = 0;
    for (std::size_t i = 0; i < up.row(r).size(); ++i) {
      double factor = static_cast<double>(gate.row(r)[gate.columns == 1 ? 0 : i]);
      double other = static_cast<double>(up.row(r)[i]);
      if (op.limit > 0) {
        factor = std::min(factor, op.limit);
        other = std::min(std::abs(other), op.limit) + 1;
      }
      if (op.kind == ops::ActivationKind::sigmoid) factor = 42.0 / 32.0;
      sum += factor * other * factor * other;
    }
    out.push_back(32 * kUnit * std::sqrt(sum));
  }
  return out;
}

// A sum of group_size squares, a root, two products. Subtracting a mean first loses what the mean
// is larger than the deviations.
template <>
std::vector<double> ErrorBound::bound(const ops::Norm& op, ValueId out) const {
  const auto size = static_cast<double>(op.group_size);
  const double sum_error = kSafety * (std::sqrt(size) + 4) * kUnit;
  std::vector<double> bounds = scaled_norms(out, sum_error);
  if (op.kind == ops::NormKind::rms) return bounds;
  const RecordedValue& in = value(op.in);
  for (std::int64_t r = 0; r < in.rows; ++r) {
    double mean = 0;
    for (const float x : in.row(r)) mean += x;
    mean /= static_cast<double>(in.columns);
    double square = 0;
    for (const float x : in.row(r)) square += (x - mean) * (x - mean);
    const double deviation = std::sqrt(square / static_cast<double>(in.columns) + op.epsilon);
    bounds[static_cast<std::size_t>(r)] *= 1 + std::abs(mean) / deviation;
  }
  return bounds;
}

template <>
std::vector<double> ErrorBound::bound(const ops::MatMul& op, ValueId out) const {
  const auto part = std::find_if(op.parts.begin(), op.parts.end(),
                                 [out](const ops::MatMul::Part& p) { return p.out == out; });
  const std::vector<double> squares = column_squares(program_, weights_, part->weight, 0);
  const bool int8 = !keeps_f32_products(program_.tensor(part->weight.tensor).type);
  const RecordedValue& in = value(op.in);
  std::vector<double> bounds = scaled_norms(out, 2 * kUnit);
  for (std::int64_t r = 0; r < in.rows; ++r) {
    bounds[static_cast<std::size_t>(r)] += product_bound(in.row(r), squares, int8);
  }
  return bounds;
}

// As MatMul, with the weight of the row's expert.
template <>
std::vector<double> ErrorBound::bound(const ops::ExpertMatMul& op, ValueId out) const {
  const auto part = std::find_if(op.parts.begin(), op.parts.end(),
                                 [out](const ops::ExpertMatMul::Part& p) { return p.out == out; });
  const bool int8 = !keeps_f32_products(program_.tensor(part->weight.tensor).type);
  const RecordedValue& in = value(op.in);
  const RecordedValue& tokens = value(op.routing.tokens);
  const RecordedValue& offsets = value(op.routing.offsets);
  const bool per_token = ops::is_per_token(op, program_);
  std::vector<double> bounds = scaled_norms(out, 2 * kUnit);
  for (std::int64_t e = 0; e + 1 < offsets.columns; ++e) {
    const Range rows = ops::expert_rows(offsets.data.data(), e, tokens.rows);
    if (rows.size() == 0) continue;
    const std::vector<double> squares = column_squares(program_, weights_, part->weight, e);
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const auto at = static_cast<std::size_t>(r);
      const auto x = in.row(per_token ? ops::safe_index(tokens.data[at], in.rows) : r);
      bounds[at] += product_bound(x, squares, int8);
    }
  }
  return bounds;
}

// Indices are exact. A weight is an exponential over a sum of them; a logit's distance from the
// largest rounds before its exponential.
template <>
std::vector<double> ErrorBound::bound(const ops::Route& op, ValueId out) const {
  if (!(out == op.out.weights)) return scaled_norms(out, 2 * kUnit);
  const RecordedValue& logits = value(op.logits);
  std::vector<double> bounds = scaled_norms(out, 1.0);
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    double most = 0;
    for (const float x : logits.row(r)) most = std::max(most, std::abs(static_cast<double>(x)));
    bounds[static_cast<std::size_t>(r)] *= (32 + 4 * most) * kUnit;
  }
  return bounds;
}

// Products and their sum over the experts used.
template <>
std::vector<double> ErrorBound::bound(const ops::ExpertCombine& op, ValueId) const {
  const RecordedValue& in = value(op.in);
  const RecordedValue& weights = value(op.routing.weights);
  const RecordedValue& places = value(op.routing.places);
  std::vector<double> bounds;
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    double sum = 0;
    for (std::size_t i = 0; i < weights.row(r).size(); ++i) {
      const std::int64_t place = ops::safe_index(places.row(r)[i], in.rows);
      sum += std::abs(static_cast<double>(weights.row(r)[i])) * norm(in.row(place));
    }
    bounds.push_back((static_cast<double>(weights.columns) + 2) * kUnit * sum);
  }
  return bounds;
}

// A score is off by at most d = 2^-24 sqrt(key size) scale |q| |k|, its weight by the factor
// exp(2 d) and the rounding of a sum over the positions; the output by that share of the largest
// |v|.
template <>
std::vector<double> ErrorBound::bound(const ops::Attention& op, ValueId) const {
  const StateSpec& state = program_.state(op.state);
  double key = 0;
  double stored = 0;
  for (const Instruction& instruction : program_.instructions) {
    const auto* store = std::get_if<ops::StateStore>(&instruction);
    if (store == nullptr || !(store->state == op.state)) continue;
    key = largest_head(value(store->key), state.key_size);
    stored = largest_head(value(store->value), state.value_size);
  }
  const RecordedValue& query = value(op.query);
  std::vector<double> bounds;
  for (std::int64_t r = 0; r < query.rows; ++r) {
    double sum = 0;
    for (std::int64_t head = 0; head < op.head_count; ++head) {
      const double q = norm(query.row(r).subspan(static_cast<std::size_t>(head * state.key_size),
                                                 static_cast<std::size_t>(state.key_size)));
      const double score =
          kUnit * (std::sqrt(static_cast<double>(state.key_size)) + 2) * op.scale * q * key;
      const double weight = kUnit * (std::sqrt(static_cast<double>(query.rows)) + 4);
      const double head_error = (2 * score + weight) * stored;
      sum += head_error * head_error;
    }
    bounds.push_back(kSafety * std::sqrt(sum));
  }
  return bounds;
}

// As attention, where a key is K c and a value V c for the latent c. With |q K| the root of the sum
// of q_i^2 |K_i|^2: expanded, keys round sums over the latent and scores sums over the plain
// columns, both of size |q K| |c|; absorbed, K^T q rounds sums over the plain columns, of that size
// too, and scores sums of |K^T q| |c|. Weights move values by at most |V c|; what sums over
// positions and over the latent round is independent per column of V. Quantized weights: queries
// and weighted latents are rounded as MatMul's activations, the former to move a score by K c, the
// latter no larger, column by column, than any latent.
template <>
std::vector<double> ErrorBound::bound(const ops::LatentAttention& op, ValueId) const {
  const StateSpec& state = program_.state(op.state);
  const RecordedValue* turned = nullptr;
  const RecordedValue* latents = nullptr;
  for (const Instruction& instruction : program_.instructions) {
    const auto* store = std::get_if<ops::StateStore>(&instruction);
    if (store == nullptr || !(store->state == op.state)) continue;
    turned = &value(store->key);
    latents = &value(store->value);
  }
  const double largest_turned = largest_head(*turned, op.turned_size);
  const double largest_latent = largest_head(*latents, state.value_size);
  const RecordedValue& query = value(op.query);
  const auto root = [](std::int64_t count) { return std::sqrt(static_cast<double>(count)); };
  const auto is_int8 = [&](const WeightOperand& weight) {
    return !keeps_f32_products(program_.tensor(weight.tensor).type);
  };
  const bool int8_keys = is_int8(op.keys);
  const bool int8_values = is_int8(op.values.value_or(op.keys));
  std::vector<float> column_maxima(static_cast<std::size_t>(state.value_size), 0.0F);
  for (std::size_t i = 0; i < latents->data.size(); ++i) {
    float& most = column_maxima[i % column_maxima.size()];
    most = std::max(most, std::abs(latents->data[i]));
  }
  const auto plain_size = static_cast<std::size_t>(op.plain_size);
  const auto query_size = static_cast<std::size_t>(op.plain_size + op.turned_size);
  std::vector<double> squares(static_cast<std::size_t>(query.rows), 0.0);
  for (std::int64_t head = 0; head < op.head_count; ++head) {
    const RecordedValue keys = decoded(ops::key_weight(op, head));
    const RecordedValue values = decoded(ops::value_weight(op, head));
    std::vector<double> column_squares(static_cast<std::size_t>(values.columns), 0.0);
    for (std::size_t i = 0; i < values.data.size(); ++i) {
      const double v = values.data[i];
      column_squares[i % column_squares.size()] += v * v;
    }
    const double largest_column =
        std::sqrt(*std::max_element(column_squares.begin(), column_squares.end()));
    const double rounded_latents =
        int8_values ? product_bound(column_maxima, column_squares, true) / kSafety : 0.0;
    std::vector<double> key_squares(plain_size, 0.0);  // the largest of any position
    for (std::size_t i = 0; int8_keys && i < plain_size; ++i) {
      for (std::int64_t p = 0; p < latents->rows; ++p) {
        const double k = dot(keys.row(static_cast<std::int64_t>(i)), latents->row(p));
        key_squares[i] = std::max(key_squares[i], k * k);
      }
    }
    double largest_value = 0;
    for (std::int64_t p = 0; p < latents->rows; ++p) {
      double square = 0;
      for (std::int64_t j = 0; j < values.rows; ++j) {
        const double v = dot(values.row(j), latents->row(p));
        square += v * v;
      }
      largest_value = std::max(largest_value, std::sqrt(square));
    }
    for (std::int64_t r = 0; r < query.rows; ++r) {
      const auto q = query.row(r).subspan(static_cast<std::size_t>(head) * query_size, query_size);
      double products = 0;
      std::vector<double> absorbed(static_cast<std::size_t>(keys.columns), 0.0);
      for (std::size_t i = 0; i < plain_size; ++i) {
        const auto row = keys.row(static_cast<std::int64_t>(i));
        const double size = norm(row) * static_cast<double>(q[i]);
        products += size * size;
        for (std::size_t l = 0; l < row.size(); ++l) {
          absorbed[l] += static_cast<double>(q[i]) * static_cast<double>(row[l]);
        }
      }
      double absorbed_square = 0;
      for (const double x : absorbed) absorbed_square += x * x;
      const double rounded_query =
          int8_keys ? product_bound(q.first(plain_size), key_squares, true) / kSafety : 0.0;
      const double score =
          op.scale * rounded_query +
          kUnit * op.scale *
              ((root(op.plain_size) + root(state.value_size) + 2) * std::sqrt(products) *
                   largest_latent +
               (root(state.key_size) + 2) * (std::sqrt(absorbed_square) * largest_latent +
                                             norm(q.subspan(plain_size)) * largest_turned));
      const double sums = kUnit * (root(query.rows) + root(state.value_size) + 4);
      const double error =
          2 * score * largest_value + sums * largest_column * largest_latent + rounded_latents;
      squares[static_cast<std::size_t>(r)] += error * error;
    }
  }
  for (double& square : squares) square = kSafety * std::sqrt(square);
  return squares;
}

std::vector<double> ErrorBound::rows(const Instruction& instruction, ValueId out) const {
  return std::visit([&](const auto& op) { return bound(op, out); }, instruction);
}

}  // namespace ingot::internal
