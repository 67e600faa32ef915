// Bounds of attention over latents: as attention's, with keys K c and values V c of a latent c. The
// products with K and V round what product bounds say, moved to where they stand: before the scores
// or behind the weighted sum (absorbed), or in each position's key and value (expanded).
#include <algorithm>
#include <cmath>
#include <limits>

#include "src/device/error_attention.hpp"
#include "src/device/error_bound.hpp"
#include "src/device/error_sums.hpp"
#include "src/device/rounding.hpp"
#include "src/state/row_rotation.hpp"

namespace ingot::internal {
namespace {

using Row = std::vector<double>;

constexpr double kFactors = 2.0;  // as in product bounds

// Row-major doubles.
struct Table {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  Row data;

  std::span<double> row(std::int64_t index) { return std::span(data).subspan(at(index), width()); }
  std::span<const double> row(std::int64_t index) const {
    return std::span(data).subspan(at(index), width());
  }

 private:
  std::size_t at(std::int64_t index) const { return static_cast<std::size_t>(index * columns); }
  std::size_t width() const { return static_cast<std::size_t>(columns); }
};

Table table(std::int64_t rows, std::int64_t columns) {
  return {rows, columns, Row(static_cast<std::size_t>(rows * columns), 0.0)};
}

Row times(const Table& matrix, std::span<const double> x) {
  Row out;
  for (std::int64_t r = 0; r < matrix.rows; ++r) out.push_back(dot(matrix.row(r), x));
  return out;
}

// x^T matrix.
Row transposed_times(const Table& matrix, std::span<const double> x) {
  Row out(static_cast<std::size_t>(matrix.columns), 0.0);
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    const auto row = matrix.row(r);
    for (std::size_t c = 0; c < out.size(); ++c) out[c] += x[static_cast<std::size_t>(r)] * row[c];
  }
  return out;
}

Row sum(const Row& a, const Row& b) {
  Row out = a;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += b[i];
  return out;
}

Row squares(const Table& matrix) {
  Row out(static_cast<std::size_t>(matrix.columns), 0.0);
  for (std::size_t i = 0; i < matrix.data.size(); ++i) {
    out[i % out.size()] += matrix.data[i] * matrix.data[i];
  }
  return out;
}

// One head's weight, [out, latent], what rounding makes of it, and the model of its first rows: the
// least exact of a device.
struct HeadMatrix {
  Table weight;
  Table errors;  ///< empty: none
  Row column_squares;
  ProductModel model;
};

HeadMatrix head_matrix(const RecordedStep& step, const ops::HeadWeight& head,
                       const std::vector<ProductPart>& parts) {
  const std::int64_t outer = head.weight.rows.size();
  const std::int64_t inner = head.weight.columns.size();
  HeadMatrix out{head.transposed ? table(inner, outer) : table(outer, inner),
                 {},
                 {},
                 parts.empty() ? ProductModel{} : parts.front().model};
  const bool is_rounded = out.model.weights != Rounding::none;
  if (is_rounded) out.errors = out.weight;
  std::vector<float> row(static_cast<std::size_t>(inner));
  for (std::int64_t r = 0; r < outer; ++r) {
    decode_row(step.program, step.weights, head.weight, 0, r, row);
    const Row errors = rounding_errors(out.model.weights, std::span<const float>(row)).error;
    for (std::int64_t c = 0; c < inner; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const std::int64_t to_row = head.transposed ? c : r;
      const auto to_column = static_cast<std::size_t>(head.transposed ? r : c);
      out.weight.row(to_row)[to_column] = static_cast<double>(row[i]);
      if (is_rounded) out.errors.row(to_row)[to_column] = errors[i];
    }
  }
  out.column_squares = squares(out.weight);
  return out;
}

// The errors of matrix * x, or of x^T matrix, that the factors' roundings make.
struct FactorErrors {
  Row error;
  Row doubt;  ///< of x
};
template <class Multiply>
FactorErrors factor_errors(const HeadMatrix& matrix, const Row& x, Multiply multiply) {
  RoundingErrors rounding = rounding_errors(matrix.model.activations, std::span<const double>(x));
  FactorErrors out{multiply(matrix.weight, rounding.error), std::move(rounding.doubt)};
  if (!matrix.errors.data.empty()) {
    out.error = sum(out.error, multiply(matrix.errors, sum(x, rounding.error)));
  }
  return out;
}

double weighted_root(const Row& column_squares, const Row& x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += column_squares[i] * x[i] * x[i];
  return std::sqrt(sum);
}

// Keys or values of one position, what they are and what their making may move them by.
struct MadeRow {
  Row exact;
  Row error;
};

class Head {
 public:
  Head(const ops::LatentAttention& op, const LatentModel& model, const Arithmetic& arithmetic,
       HeadMatrix keys, HeadMatrix values, const Table& latents, const Table& turned)
      : op_(op),
        model_(model),
        arithmetic_(arithmetic),
        keys_(std::move(keys)),
        values_(std::move(values)),
        latents_(latents),
        turned_(turned) {
    for (std::int64_t p = 0; p < latents.rows; ++p) {
      made_keys_.push_back(made(keys_, p));
      made_values_.push_back(made(values_, p));
    }
  }

  // Of row r, whose query is q.
  double bound(std::int64_t r, std::span<const double> q, bool rotated) const {
    const Row plain(q.begin(), q.begin() + op_.plain_size);
    const Row absorbed = transposed_times(keys_.weight, plain);
    const Row moved = absorbed_error(plain, absorbed);
    SeenPositions seen;
    for (std::int64_t p = 0; p <= r; ++p) {
      const MadeRow& key = made_keys_[static_cast<std::size_t>(p)];
      const double score =
          op_.scale * (dot(std::span<const double>(plain), std::span<const double>(key.exact)) +
                       dot(q.subspan(plain.size()), turned_.row(p)));
      seen.scores.push_back(score);
      seen.errors.push_back(model_.expanded
                                ? expanded_score_error(q, p)
                                : absorbed_score_error(q, plain, absorbed, moved, p, rotated));
      seen.values.push_back(made_values_[static_cast<std::size_t>(p)].exact);
    }
    const AttendedBound attended = attended_bound(seen, model_.attention, arithmetic_, rotated);
    return attended.error +
           (model_.expanded ? expanded_value_error(attended) : absorbed_value_error(attended));
  }

 private:
  Row latent(std::int64_t p) const {
    const auto row = latents_.row(p);
    return {row.begin(), row.end()};
  }

  MadeRow made(const HeadMatrix& matrix, std::int64_t p) const {
    const Row c = latent(p);
    MadeRow out{times(matrix.weight, c), {}};
    if (!model_.expanded) return out;
    out.error = factor_errors(matrix, c, times).error;
    out.error = sum(out.error, rounding_errors(model_.expanded_rows,
                                               std::span<const double>(sum(out.exact, out.error)))
                                   .error);
    return out;
  }

  // Of K^T q, element by element; where keys multiply as any product does, its factors' roundings.
  Row absorbed_error(const Row& plain, const Row& absorbed) const {
    if (!op_.values) return Row(absorbed.size(), 0.0);
    return factor_errors(keys_, plain, transposed_times).error;
  }

  double absorbed_score_error(std::span<const double> q, const Row& plain, const Row& absorbed,
                              const Row& moved, std::int64_t p, bool rotated) const {
    const Row c = latent(p);
    const double unit = arithmetic_.unit;
    // Sums of K^T q: the terms of element l are q_i K_il.
    double square = 0;
    for (std::size_t l = 0; l < c.size(); ++l) square += absorbed[l] * absorbed[l] * c[l] * c[l];
    double terms = 0;
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const auto row = keys_.weight.row(static_cast<std::int64_t>(i));
      for (std::size_t l = 0; l < c.size(); ++l) {
        terms += plain[i] * plain[i] * row[l] * row[l] * c[l] * c[l];
      }
    }
    double error = sum_error(unit, model_.keys.empty() ? 8.0 : keys_.model.roundings,
                             std::sqrt(square), std::sqrt(terms));
    if (op_.values) {
      const Row& key = made_keys_[static_cast<std::size_t>(p)].exact;
      const RoundingErrors rounding =
          rounding_errors(keys_.model.activations, std::span<const double>(plain));
      double doubt = 0;
      for (std::size_t i = 0; i < plain.size(); ++i) {
        doubt += rounding.doubt[i] * rounding.doubt[i] * key[i] * key[i];
      }
      error += kFactors * std::abs(dot(std::span<const double>(moved), std::span<const double>(c)));
      error += kSpread * std::sqrt(doubt) + doubtful_weights(keys_) * std::sqrt(terms);
    }
    Row left = absorbed;
    left.insert(left.end(), q.begin() + op_.plain_size, q.end());
    Row right = c;
    right.insert(right.end(), turned_.row(p).begin(), turned_.row(p).end());
    return std::abs(op_.scale) * error +
           score_error(op_.scale, left, right, model_.attention, unit, rotated);
  }

  double expanded_score_error(std::span<const double> q, std::int64_t p) const {
    const MadeRow& made = made_keys_[static_cast<std::size_t>(p)];
    const auto turned = turned_.row(p);
    const Row turned_error = rounding_errors(model_.expanded_rows, turned).error;
    Row key = made.exact;
    key.insert(key.end(), turned.begin(), turned.end());
    Row error = made.error;
    error.insert(error.end(), turned_error.begin(), turned_error.end());
    const double moved = dot(q, std::span<const double>(error));
    const double size = norm(q) * norm(std::span<const double>(error));
    // Roundings that a device makes differently are of other elements.
    return std::abs(op_.scale) * (kFactors * std::abs(moved) + size / 4) +
           score_error(op_.scale, q, key, model_.attention, arithmetic_.unit, false);
  }

  double expanded_value_error(const AttendedBound& attended) const {
    Row error(attended.result.size(), 0.0);
    double each = 0;
    for (std::size_t p = 0; p < attended.weights.size(); ++p) {
      double square = 0;
      for (std::size_t i = 0; i < error.size(); ++i) {
        const double moved = attended.weights[p] * made_values_[p].error[i];
        error[i] += moved;
        square += moved * moved;
      }
      each += square;
    }
    return kFactors * norm(std::span<const double>(error)) + std::sqrt(each);
  }

  // Of the weighted latents and of V times them.
  double absorbed_value_error(const AttendedBound& attended) const {
    Row mixed(static_cast<std::size_t>(latents_.columns), 0.0);
    Row terms = mixed;
    for (std::size_t p = 0; p < attended.weights.size(); ++p) {
      const auto c = latents_.row(static_cast<std::int64_t>(p));
      for (std::size_t l = 0; l < mixed.size(); ++l) {
        const double term = attended.weights[p] * c[l];
        mixed[l] += term;
        terms[l] += term * term;
      }
    }
    double term_squares = 0;
    for (std::size_t l = 0; l < terms.size(); ++l) {
      term_squares += values_.column_squares[l] * terms[l];
    }
    const AttentionModel& attention = model_.attention;
    const double unit = arithmetic_.unit;
    const double mixed_root = weighted_root(values_.column_squares, mixed);
    const double roundings =
        attention.sum_roundings + std::sqrt(static_cast<double>(attended.weights.size()));
    const FactorErrors factors = factor_errors(values_, mixed, times);
    return unit * kSpread * roundings * (mixed_root + std::sqrt(term_squares)) +
           largest_share(attention.values) * kSpread * std::sqrt(term_squares) +
           kFactors * norm(std::span<const double>(factors.error)) +
           kSpread * weighted_root(values_.column_squares, factors.doubt) +
           doubtful_weights(values_) * mixed_root +
           sum_error(unit, values_.model.roundings, norm(std::span<const double>(attended.result)),
                     mixed_root);
  }

  // Weights whose rounding a device decides otherwise (rounding.cpp): one in 32, by 2^-7.
  static double doubtful_weights(const HeadMatrix& matrix) {
    return matrix.errors.data.empty() ? 0.0 : 0x1p-8;
  }

  const ops::LatentAttention& op_;
  const LatentModel& model_;
  const Arithmetic& arithmetic_;
  HeadMatrix keys_;
  HeadMatrix values_;
  const Table& latents_;
  const Table& turned_;
  std::vector<MadeRow> made_keys_;
  std::vector<MadeRow> made_values_;
};

Table columns_of(const RecordedValue& value, std::int64_t first, std::int64_t count) {
  Table out = table(value.rows, count);
  for (std::int64_t r = 0; r < value.rows; ++r) {
    const auto row =
        value.row(r).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    std::copy(row.begin(), row.end(), out.row(r).begin());
  }
  return out;
}

}  // namespace

ErrorBound::Bounds ErrorBound::bound(const ops::LatentAttention& op, ValueId) const {
  const StateSpec& state = step_.program.state(op.state);
  const ops::StateStore& store = store_of(step_.program, op.state);
  const RecordedValue& query = value(op.query);
  const LatentModel model = model_.latent_attention(op, step_.types, query.rows);
  // Latent and turned columns are stored, and rounded, together.
  RecordedValue joined{query.rows, state.key_size, {}, {}};
  for (std::int64_t r = 0; r < joined.rows; ++r) {
    for (const ValueId id : {store.value, store.key}) {
      const auto row = value(id).row(r);
      joined.data.insert(joined.data.end(), row.begin(), row.end());
    }
  }
  joined = as_stored(std::move(joined), step_.types.key, 1);
  const Table latents = columns_of(joined, 0, state.value_size);
  const Table turned = columns_of(joined, state.value_size, op.turned_size);
  const auto query_size = static_cast<std::size_t>(op.plain_size + op.turned_size);
  Bounds bounds(static_cast<std::size_t>(query.rows), 0.0);
  for (std::int64_t h = 0; h < op.head_count; ++h) {
    const Head head(op, model, arithmetic_, head_matrix(step_, ops::key_weight(op, h), model.keys),
                    head_matrix(step_, ops::value_weight(op, h), model.values), latents, turned);
    for (std::int64_t r = 0; r < query.rows; ++r) {
      const auto q = query.row(r).subspan(static_cast<std::size_t>(h) * query_size, query_size);
      const double error = head.bound(r, Row(q.begin(), q.end()), is_rotated(step_.types.key));
      bounds[static_cast<std::size_t>(r)] += error * error;
    }
  }
  for (double& bound : bounds) {
    bound = std::isnan(bound) ? std::numeric_limits<double>::infinity() : std::sqrt(bound);
  }
  return bounds;
}

}  // namespace ingot::internal
