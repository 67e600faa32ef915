// Golden logits: loading the small models of tests/data/arch and measuring distance from the truth.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ingot/session.hpp"
#include "tests/support/binary_file.hpp"

namespace ingot::test {

/// Relative errors |y - g| / |g| in Euclidean norms: of everything, of the worst and the middle
/// row.
struct RelativeError {
  double whole = 0;
  double worst_row = 0;
  double median_row = 0;
};

inline RelativeError relative_error(std::span<const float> y, std::span<const float> golden,
                                    std::size_t columns) {
  RelativeError error;
  double difference = 0;
  double size = 0;
  EXPECT_EQ(y.size(), golden.size());
  if (y.size() != golden.size()) return {1e30, 1e30, 1e30};
  std::vector<double> rows;
  for (std::size_t row = 0; row < y.size(); row += columns) {
    double row_difference = 0;
    double row_size = 0;
    for (std::size_t i = row; i < row + columns; ++i) {
      const double d = static_cast<double>(y[i]) - static_cast<double>(golden[i]);
      row_difference += d * d;
      row_size += static_cast<double>(golden[i]) * static_cast<double>(golden[i]);
    }
    difference += row_difference;
    size += row_size;
    // A NaN compares false everywhere: let it be the worst.
    const double ratio = std::sqrt(row_difference / row_size);
    if (!(ratio <= error.worst_row)) error.worst_row = ratio;
    rows.push_back(ratio);
  }
  error.whole = std::sqrt(difference / size);
  const auto middle = rows.begin() + std::ssize(rows) / 2;
  std::nth_element(rows.begin(), middle, rows.end());
  error.median_row = *middle;
  return error;
}

/// A model of tests/data/arch, by name.
inline std::shared_ptr<const Model> small_model(const std::string& name) {
  return Model::open(test_data("arch/" + name + ".gguf"));
}
inline std::vector<TokenId> golden_tokens() {
  return read_array<TokenId>(test_data("arch/tokens.i32"));
}
inline std::vector<float> golden_logits(const std::string& name) {
  return read_array<float>(test_data("arch/" + name + ".logits.f32"));
}

inline LoadOptions options_for(const std::string& device, DType cache = DType::F32) {
  LoadOptions options;
  options.device = device;
  options.cache = {cache, cache};
  return options;
}

/// The logits of exactly these tokens of a request.
inline Outputs rows_of(std::initializer_list<std::int32_t> rows) {
  std::vector<RowOutput> outputs;
  for (const std::int32_t row : rows) outputs.push_back({row, Want::logits, 0});
  return Outputs::rows(std::move(outputs));
}

/// All logits of a step, kept.
inline std::vector<float> values_of(const StepResult& result) {
  return {result.values().begin(), result.values().end()};
}

/// Logits of every token of a sequence that is fed `chunk` tokens at a time (0: all at once).
inline std::vector<float> all_logits(Session& session, SequenceId sequence,
                                     std::span<const TokenId> tokens, std::size_t chunk = 0) {
  if (chunk == 0) chunk = tokens.size();
  std::vector<float> logits;
  for (std::size_t i = 0; i < tokens.size(); i += chunk) {
    const auto part = tokens.subspan(i, std::min(chunk, tokens.size() - i));
    const StepResult result = session.step({{sequence, part, Outputs::all()}});
    logits.insert(logits.end(), result.values().begin(), result.values().end());
  }
  return logits;
}

}  // namespace ingot::test
