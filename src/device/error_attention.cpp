#include "src/device/error_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ingot/error.hpp"
#include "src/device/error_sums.hpp"
#include "src/device/rounding.hpp"
#include "src/state/host_pool.hpp"

namespace ingot::internal {
namespace {

// A rotation of 32 elements is one product and five sums of each: off by 6 roundings of the length
// of its block, which is sqrt(32) largest elements.
constexpr double kRotation = 34;

// Sums of more may leave the range of f32 on the way.
constexpr double kLargestSum = std::numeric_limits<float>::max() / 4;

// The root of the sum of the squares of a_i b_i: what a scalar product's rounding grows with.
double product_root(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i] * a[i] * b[i];
  return std::sqrt(sum);
}

// Weights of the positions; the sink takes its share.
std::vector<double> softmax(const SeenPositions& seen, double top) {
  std::vector<double> weights;
  for (const double s : seen.scores) weights.push_back(std::exp(s - top));
  const double sum = std::accumulate(weights.begin(), weights.end(), std::exp(seen.sink - top));
  for (double& w : weights) w /= sum;
  return weights;
}

}  // namespace

AttendedBound attended_bound(const SeenPositions& seen, const AttentionModel& model,
                             const Arithmetic& arithmetic, bool rotated) {
  const double top = std::max(seen.sink, *std::max_element(seen.scores.begin(), seen.scores.end()));
  AttendedBound out{softmax(seen, top), std::vector<double>(seen.values.front().size()), 0.0};
  double terms = 0;   // squares of the weighted values
  double values = 0;  // their lengths
  double largest = 0;
  for (std::size_t p = 0; p < out.weights.size(); ++p) {
    for (std::size_t i = 0; i < out.result.size(); ++i) {
      out.result[i] += out.weights[p] * seen.values[p][i];
    }
    const double size = norm(std::span<const double>(seen.values[p]));
    largest = std::max(largest, size);
    values += out.weights[p] * size;
    terms += out.weights[p] * out.weights[p] * size * size;
  }
  double moved = 0;
  double moved_squares = 0;
  double most = 0;  // errors of scores that count
  bool is_finite = true;
  for (std::size_t p = 0; p < out.weights.size(); ++p) {
    double distance = 0;
    for (std::size_t i = 0; i < out.result.size(); ++i) {
      const double d = seen.values[p][i] - out.result[i];
      distance += d * d;
    }
    const double below = std::abs(seen.scores[p] - top);
    const double exponent = std::abs(seen.scores[p]) + std::abs(top) + below;
    const double error = seen.errors[p] + arithmetic.exponential + arithmetic.unit * exponent +
                         largest_share(model.weights);
    const double share = out.weights[p] * error * std::sqrt(distance);
    moved += share;
    moved_squares += share * share;
    if (out.weights[p] > 1e-6) most = std::max(most, seen.errors[p]);
    is_finite = is_finite && std::isfinite(seen.errors[p]);
  }
  if (!is_finite || !(largest < kLargestSum)) {
    out.error = std::numeric_limits<double>::infinity();
    return out;
  }
  // Scores that are off by more than this say little about their weights.
  constexpr double kLargestError = 1.0;
  if (!(most < kLargestError)) {
    out.error = 2 * largest;
    return out;
  }
  const double length = norm(std::span<const double>(out.result));
  const double count = static_cast<double>(out.weights.size());
  const double roundings = model.sum_roundings + std::sqrt(count);
  out.error = std::exp(2 * most) * std::min(moved, kSpread * std::sqrt(moved_squares));
  out.error += arithmetic.unit * kSpread * roundings * (length + std::sqrt(terms));
  out.error += largest_share(model.values) * std::min(values, kSpread * std::sqrt(terms));
  if (rotated && model.rotates_in_f32) out.error += kRotation * arithmetic.unit * length;
  out.error += count * (arithmetic.least_exponential * largest +
                        model.smallest * std::sqrt(static_cast<double>(out.result.size())));
  return out;
}

double score_error(double scale, std::span<const double> q, std::span<const double> k,
                   const AttentionModel& model, double unit, bool rotated) {
  const double root = product_root(q, k);
  double error = sum_error(unit, model.score_roundings, dot(q, k), root);
  if (model.scores != Rounding::none) {
    double sum = 0;
    for (std::size_t i = 0; i < q.size(); ++i) sum += std::abs(q[i] * k[i]);
    // A rotation spreads what is multiplied, and its rounding, over other elements.
    const double spread = rotated ? norm(q) * norm(k) : std::min(sum, kSpread * root);
    error += 2 * largest_share(model.scores) * spread;
  }
  if (rotated && model.rotates_in_f32) error += kRotation * unit * norm(q) * norm(k);
  if (!(norm(q) * norm(k) < kLargestSum)) return std::numeric_limits<double>::infinity();
  return std::abs(scale) * (error + static_cast<double>(q.size()) * model.smallest);
}

const ops::StateStore& store_of(const Program& program, StateId state) {
  for (const Instruction& instruction : program.instructions) {
    const auto* store = std::get_if<ops::StateStore>(&instruction);
    if (store != nullptr && store->state == state) return *store;
  }
  fail(ErrorCode::internal, "nothing is stored in ", program.state(state).name);
}

RecordedValue as_stored(RecordedValue out, DType type, std::int64_t heads) {
  if (type == DType::F32) return out;
  const std::int64_t size = out.columns / heads;
  std::vector<std::byte> bytes(state_row_bytes(type, size));
  for (std::int64_t i = 0; i < out.rows * heads; ++i) {
    const auto row = std::span<float>(out.data).subspan(static_cast<std::size_t>(i * size),
                                                        static_cast<std::size_t>(size));
    encode_state_row(type, row, bytes.data());
    decode_state_row(type, bytes.data(), row);
  }
  return out;
}

}  // namespace ingot::internal
