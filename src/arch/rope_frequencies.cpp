#include "src/arch/rope_frequencies.hpp"

#include <algorithm>
#include <cmath>

namespace ingot::internal {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;

// The pair index (a real number) that turns `turns` times within `context` positions.
double pair_with_turns(double turns, double base, std::int64_t rotary_size, std::int64_t context) {
  return static_cast<double>(rotary_size) *
         std::log(static_cast<double>(context) / (turns * kTwoPi)) / (2.0 * std::log(base));
}

}  // namespace

RopeTable rope_table(double base, std::int64_t rotary_size, const RopeScaling& scaling,
                     std::span<const float> factors) {
  RopeTable table;
  const std::int64_t pairs = rotary_size / 2;
  double low = 0;
  double high = 0;
  if (scaling.kind == RopeScaling::Kind::yarn) {
    low = pair_with_turns(scaling.beta_fast, base, rotary_size, scaling.original_context);
    high = pair_with_turns(scaling.beta_slow, base, rotary_size, scaling.original_context);
    if (scaling.truncate.value_or(true)) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(0.0, low);
    high = std::min(static_cast<double>(rotary_size - 1), high);
    table.magnitude = scaling.attention_factor * (1.0 + 0.1 * std::log(scaling.factor));
  }
  if (scaling.kind == RopeScaling::Kind::longrope) table.magnitude = scaling.attention_factor;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const auto index = static_cast<double>(i);
    double frequency = std::pow(base, -2.0 * index / static_cast<double>(rotary_size));
    if (!factors.empty()) frequency /= static_cast<double>(factors[static_cast<std::size_t>(i)]);
    switch (scaling.kind) {
      case RopeScaling::Kind::none:
      case RopeScaling::Kind::longrope: break;
      case RopeScaling::Kind::linear: frequency /= scaling.factor; break;
      case RopeScaling::Kind::yarn: {
        const double slow = std::clamp((index - low) / std::max(0.001, high - low), 0.0, 1.0);
        frequency = frequency * (1.0 - slow) + frequency / scaling.factor * slow;
        break;
      }
    }
    table.inverse_frequencies.push_back(frequency);
  }
  return table;
}

}  // namespace ingot::internal
