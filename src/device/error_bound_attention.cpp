// Bounds of attention. Scores and weights are computed, in double; what a score may be off moves
// its weight, and the result by that share of the distance between the position's value and the
// result.
#include <algorithm>
#include <cmath>
#include <limits>

#include "src/device/error_attention.hpp"
#include "src/device/error_bound.hpp"
#include "src/device/error_sums.hpp"
#include "src/state/row_rotation.hpp"

namespace ingot::internal {
namespace {

std::vector<double> in_double(std::span<const float> x) {
  return {x.begin(), x.end()};
}

}  // namespace

ErrorBound::Bounds ErrorBound::bound(const ops::Attention& op, ValueId) const {
  const StateSpec& state = step_.program.state(op.state);
  const ops::StateStore& store = store_of(step_.program, op.state);
  const RecordedValue keys = as_stored(value(store.key), step_.types.key, state.kv_head_count);
  const RecordedValue values =
      as_stored(value(store.value), step_.types.value, state.kv_head_count);
  const RecordedValue& query = value(op.query);
  const std::vector<float> sinks = vector(op.sinks);
  const AttentionModel model = model_.attention(op, step_.types, query.rows);
  const auto key_size = static_cast<std::size_t>(state.key_size);
  const auto value_size = static_cast<std::size_t>(state.value_size);
  const double unit = arithmetic_.unit;
  Bounds bounds;
  for (std::int64_t r = 0; r < query.rows; ++r) {
    const std::int64_t first = op.window > 0 ? std::max<std::int64_t>(0, r - op.window + 1) : 0;
    double square = 0;
    for (std::int64_t head = 0; head < op.head_count; ++head) {
      const auto at = static_cast<std::size_t>(head);
      const auto kv = static_cast<std::size_t>(head / (op.head_count / state.kv_head_count));
      const auto q = in_double(query.row(r).subspan(at * key_size, key_size));
      SeenPositions seen;
      if (!sinks.empty()) seen.sink = static_cast<double>(sinks[at]);
      for (std::int64_t p = first; p <= r; ++p) {
        const auto k = in_double(keys.row(p).subspan(kv * key_size, key_size));
        double score = op.scale * dot(std::span<const double>(q), std::span<const double>(k));
        double error = score_error(op.scale, q, k, model, unit, is_rotated(step_.types.key));
        if (op.soft_cap > 0) {
          error += op.soft_cap * arithmetic_.exponential + 4 * unit * std::abs(score);
          score = op.soft_cap * std::tanh(score / op.soft_cap);
        }
        seen.scores.push_back(score);
        seen.errors.push_back(error);
        seen.values.push_back(in_double(values.row(p).subspan(kv * value_size, value_size)));
      }
      const double error =
          attended_bound(seen, model, arithmetic_, is_rotated(step_.types.value)).error;
      square += error * error;
    }
    bounds.push_back(std::isnan(square) ? std::numeric_limits<double>::infinity()
                                        : std::sqrt(square));
  }
  return bounds;
}

}  // namespace ingot::internal
