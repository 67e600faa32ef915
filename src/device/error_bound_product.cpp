// Bounds of products with weights. What rounding does to the factors is computed, not estimated:
// the same for every device that rounds so, whatever order it adds in. Sums are estimated.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ingot/quant/formats.hpp"
#include "src/device/error_bound.hpp"
#include "src/device/error_sums.hpp"
#include "src/device/rounding.hpp"

namespace ingot::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Twice what the factors' roundings come to: a device may round in a slightly different way.
constexpr double kFactors = 2.0;

// A row of activations and what becomes of it.
struct ActivationRow {
  std::span<const float> x;
  RoundingErrors rounding;
  std::vector<double> rounded;
  double square = 0;  ///< of the results' errors that the factors' roundings make
};

// Sums over the rows of a part, per column.
struct Columns {
  std::vector<double> squares;  ///< of what is multiplied and added up
  std::vector<double> doubts;   ///< squares of RoundingErrors::doubt
  std::vector<double> largest;  ///< magnitude
};

// Of a weight that is decoded as scale * q - min, both are multiplied and added up: the sizes of
// the terms, not of their difference. `row` holds the weights and becomes those.
void make_terms(const Tensor& tensor, std::span<const std::byte> bytes, std::span<double> row) {
  quant::visit_format(tensor.type, [&](auto format) {
    using Format = decltype(format);
    if constexpr (Format::kIntegerGrid) {
      if constexpr (Format::kHasMin) {
        constexpr std::size_t kGroups = Format::kBlockSize / 32;
        for (std::size_t g = 0; g < row.size() / 32; ++g) {
          typename Format::Block block;
          std::memcpy(&block, bytes.data() + g / kGroups * sizeof block, sizeof block);
          quant::Lanes32 lanes;
          Format::lanes(block, static_cast<int>(g % kGroups), lanes);
          for (std::size_t i = 0; i < 32; ++i) {
            const auto scale = static_cast<double>(lanes.scale[i / 16]);
            const auto min = static_cast<double>(lanes.min[i / 16]);
            row[32 * g + i] = std::abs(scale * lanes.q[i]) + std::abs(min);
          }
        }
      }
    }
  });
}

std::span<const std::byte> row_bytes_of(const RecordedStep& step, const WeightOperand& weight,
                                        std::int64_t expert, std::int64_t row) {
  const Tensor& tensor = step.program.tensor(weight.tensor);
  const std::int64_t index =
      (weight.experts.begin + expert) * tensor.rows + weight.rows.begin + row;
  return step.weights.rows(weight.tensor, index, 1)
      .subspan(row_bytes(tensor.type, weight.columns.begin),
               row_bytes(tensor.type, weight.columns.size()));
}

// Adds what the weight rows [first, first + part.rows) do to the errors of each activation row.
void add_part(const RecordedStep& step, const WeightOperand& weight, std::int64_t expert,
              std::int64_t first, const ProductPart& part, std::vector<ActivationRow>& rows,
              Columns& columns) {
  const Tensor& tensor = step.program.tensor(weight.tensor);
  const auto count = static_cast<std::size_t>(weight.columns.size());
  std::vector<float> row(count);
  std::vector<double> terms(count);
  columns = {std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
  for (std::int64_t n = first; n < first + part.rows; ++n) {
    decode_row(step.program, step.weights, weight, expert, n, row);
    std::copy(row.begin(), row.end(), terms.begin());
    make_terms(tensor, row_bytes_of(step, weight, expert, n), terms);
    RoundingErrors rounding;
    const bool is_rounded = part.model.weights != Rounding::none;
    if (is_rounded) rounding = rounding_errors(part.model.weights, std::span<const float>(row));
    for (std::size_t k = 0; k < count; ++k) {
      columns.squares[k] += terms[k] * terms[k];
      columns.largest[k] = std::max(columns.largest[k], std::abs(terms[k]));
      if (is_rounded) columns.doubts[k] += rounding.doubt[k] * rounding.doubt[k];
    }
    const bool has_errors = is_rounded || part.model.activations != Rounding::none;
    for (ActivationRow& in : rows) {
      if (!has_errors) break;
      double error = dot(std::span<const float>(row), std::span<const double>(in.rounding.error));
      if (is_rounded) {
        error += dot(std::span<const double>(rounding.error), std::span<const double>(in.rounded));
      }
      in.square += error * error;
    }
  }
}

// The bound of one row of results of a part. `total` is the norm of all results.
double part_bound(const ProductPart& part, const ActivationRow& in, const Columns& columns,
                  double unit, double total) {
  double root = 0;
  double doubt = 0;
  double sum = 0;
  for (std::size_t k = 0; k < in.x.size(); ++k) {
    const auto x = static_cast<double>(in.x[k]);
    root += columns.squares[k] * x * x;
    doubt += columns.squares[k] * in.rounding.doubt[k] * in.rounding.doubt[k] +
             columns.doubts[k] * x * x;
    sum += columns.largest[k] * std::abs(x);
  }
  // Sums on the way may leave the range of f32.
  if (!(sum < std::numeric_limits<float>::max() / 4)) return kInfinity;
  root = std::sqrt(root);
  // A scale that gives up bits, and codes that are brought in place in f32.
  const double shared = part.model.weights == Rounding::bf16_enlarged ? 0x1p-14 * root : 0.0;
  const auto results = static_cast<double>(part.rows);
  return kFactors * std::sqrt(in.square) + kSpread * std::sqrt(doubt) + shared +
         sum_error(unit, part.model.roundings, total, root) +
         part.model.smallest * static_cast<double>(in.x.size()) * std::sqrt(results);
}

// Bounds of `inputs` rows that are multiplied together with one expert's weight, given the norms of
// their results.
std::vector<double> product_bounds(const RecordedStep& step, const ErrorModel& model, double unit,
                                   const WeightOperand& weight, std::int64_t expert,
                                   const std::vector<std::span<const float>>& inputs,
                                   const std::vector<double>& totals) {
  std::vector<double> squares(inputs.size(), 0.0);
  std::int64_t first = 0;
  for (const ProductPart& part : model.product(weight, static_cast<std::int64_t>(inputs.size()))) {
    std::vector<ActivationRow> rows;
    for (const std::span<const float> x : inputs) {
      ActivationRow row{x, rounding_errors(part.model.activations, x), {x.begin(), x.end()}, 0.0};
      for (std::size_t k = 0; k < x.size(); ++k) row.rounded[k] += row.rounding.error[k];
      rows.push_back(std::move(row));
    }
    Columns columns;
    add_part(step, weight, expert, first, part, rows, columns);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const double bound = part_bound(part, rows[r], columns, unit, totals[r]);
      squares[r] += bound * bound;
    }
    first += part.rows;
  }
  // Numbers that are none spoil their results on every device.
  for (std::size_t r = 0; r < squares.size(); ++r) {
    squares[r] = std::isnan(squares[r]) ? kInfinity : std::sqrt(squares[r]);
  }
  return squares;
}

template <class Parts>
const auto& part_of(const Parts& parts, ValueId out) {
  return *std::find_if(parts.begin(), parts.end(),
                       [out](const auto& part) { return part.out == out; });
}

}  // namespace

ErrorBound::Bounds ErrorBound::bound(const ops::MatMul& op, ValueId out) const {
  const RecordedValue& in = value(op.in);
  std::vector<std::span<const float>> inputs;
  for (std::int64_t r = 0; r < in.rows; ++r) inputs.push_back(in.row(r));
  if (inputs.empty()) return {};
  return product_bounds(step_, model_, arithmetic_.unit, part_of(op.parts, out).weight, 0, inputs,
                        scaled_norms(out, 1.0));
}

// As MatMul, with the rows and the weight of each expert.
ErrorBound::Bounds ErrorBound::bound(const ops::ExpertMatMul& op, ValueId out) const {
  const WeightOperand& weight = part_of(op.parts, out).weight;
  const RecordedValue& in = value(op.in);
  const RecordedValue& tokens = value(op.routing.tokens);
  const RecordedValue& offsets = value(op.routing.offsets);
  const bool per_token = ops::is_per_token(op, step_.program);
  const Bounds norms = scaled_norms(out, 1.0);
  Bounds bounds(norms.size(), 0.0);
  for (std::int64_t e = 0; e + 1 < offsets.columns; ++e) {
    const Range rows = ops::expert_rows(offsets.indices.data(), e, tokens.rows);
    if (rows.size() == 0) continue;
    std::vector<std::span<const float>> inputs;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const std::int32_t token = tokens.indices[static_cast<std::size_t>(r)];
      inputs.push_back(in.row(per_token ? ops::safe_index(token, in.rows) : r));
    }
    const auto first = norms.begin() + rows.begin;
    const Bounds of_expert = product_bounds(step_, model_, arithmetic_.unit, weight, e, inputs,
                                            {first, first + rows.size()});
    std::copy(of_expert.begin(), of_expert.end(), bounds.begin() + rows.begin);
  }
  return bounds;
}

}  // namespace ingot::internal
