// What encoders promise: an error bounded by the format's step, and sane output for any input. A
// failure means that a converted model is worse than its format allows, or poisoned by one odd
// weight.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ingot/dtype.hpp"

namespace ingot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> round_trip(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(row_bytes(type, static_cast<std::int64_t>(values.size())));
  quantize(type, values, bytes);
  std::vector<float> decoded(values.size());
  dequantize(type, bytes, decoded);
  return decoded;
}

double magnitude(std::span<const float> x) {
  double largest = 0;
  for (const float value : x) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  return largest;
}

double spread(std::span<const float> x) {  // from the smallest (at most 0) to the largest
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  return static_cast<double>(*high) - std::min(0.0, static_cast<double>(*low));
}

double depth(std::span<const float> x) {  // how far below zero it reaches
  return std::max(0.0, -static_cast<double>(*std::min_element(x.begin(), x.end())));
}

// Largest error of rounding to f16: half an ulp, or half the subnormal spacing.
double f16_error(double value) {
  return std::max(std::fabs(value) * 0x1p-11, 0x1p-25);
}

// One scale, codes of `reach` steps from zero: `worst` steps of code error, and the f16 rounding of
// the step counts once per step.
double symmetric_bound(std::span<const float> block, double reach, double worst) {
  const double step = magnitude(block) / reach;
  return worst * step + reach * f16_error(step);
}

// Scale and offset: half a step, the rounding of both.
double affine_bound(std::span<const float> block, double codes) {
  const auto [low, high] = std::minmax_element(block.begin(), block.end());
  const double step = (static_cast<double>(*high) - static_cast<double>(*low)) / codes;
  return step / 2 + codes * f16_error(step) + f16_error(static_cast<double>(*low));
}

// A sub-block quantity stored as an integer of at most `scale_max` times an f16 unit: `worst` units
// off plus the rounding of the unit.
double shared_error(double largest, double scale_max, double worst) {
  const double unit = largest / scale_max;
  return worst * (unit + f16_error(unit)) + scale_max * f16_error(unit);
}

template <class Measure>
double largest_of(std::span<const float> block, std::size_t span, Measure measure) {
  double largest = 0;
  for (std::size_t s = 0; s < block.size(); s += span)
    largest = std::max(largest, measure(block.subspan(s, span)));
  return largest;
}

// K formats with mins: half a step with the scale as stored, and where the stored scale is too
// small, all codes short of it; the min's error adds.
double k_affine_bound(std::span<const float> block, std::size_t at, std::size_t span, double codes,
                      double scale_max) {
  const double scale_error = shared_error(largest_of(block, span, spread) / codes, scale_max, 0.5);
  const double min_error = shared_error(largest_of(block, span, depth), scale_max, 0.5);
  const double step = spread(block.subspan(at / span * span, span)) / codes;
  return (step + scale_error) / 2 + codes * scale_error + min_error;
}

// K formats without mins. The scale may be a whole unit off (the range of signed integers is one
// short on its positive side).
double k_symmetric_bound(std::span<const float> block, std::size_t at, std::size_t span,
                         double reach, double worst, double scale_max) {
  const double scale_error =
      shared_error(largest_of(block, span, magnitude) / reach, scale_max, 1.0);
  const double step = magnitude(block.subspan(at / span * span, span)) / reach;
  return worst * (step + scale_error) + reach * scale_error;
}

// Bound of |decoded - x| for element `at` of a block.
double bound(DType type, std::span<const float> block, std::size_t at) {
  const auto x = static_cast<double>(block[at]);
  switch (type) {
    case DType::F32: return 0;
    case DType::F16: return f16_error(x);
    case DType::BF16: return std::max(std::fabs(x) * 0x1p-8, 0x1p-134);
    case DType::Q8_0: return symmetric_bound(block, 127, 0.5);
    // Codes reach one step less on the side opposite to the largest element: up to a whole step
    // there.
    case DType::Q4_0: return symmetric_bound(block, 8, 1);
    case DType::Q5_0: return symmetric_bound(block, 16, 1);
    case DType::Q4_1: return affine_bound(block, 15);
    case DType::Q5_1: return affine_bound(block, 31);
    // The table ends at -127 and 113, 14 short; its widest gap is 23, half of it 11.5.
    case DType::IQ4_NL: return symmetric_bound(block, 127, 14);
    case DType::IQ4_XS: return k_symmetric_bound(block, at, 32, 127, 14, 32);
    case DType::Q3_K: return k_symmetric_bound(block, at, 16, 4, 1, 32);
    case DType::Q6_K: return k_symmetric_bound(block, at, 16, 32, 1, 128);
    case DType::Q2_K: return k_affine_bound(block, at, 16, 3, 15);
    case DType::Q4_K: return k_affine_bound(block, at, 32, 15, 63);
    case DType::Q5_K: return k_affine_bound(block, at, 32, 31, 63);
    // The largest element lies in [4, 8) scales: it saturates at 6, less than 2 scales away, a half
    // of it. Below scale 2^-127 the finest spacing is 2^-128.
    case DType::MXFP4: return std::max(magnitude(block) / 2, 0x1p-129);
  }
  return 0;
}

class Encoder : public testing::TestWithParam<DType> {};

void expect_within_bound(DType type, const std::vector<float>& values, const char* what) {
  const std::vector<float> decoded = round_trip(type, values);
  const auto size = static_cast<std::size_t>(block_size(type));
  for (std::size_t start = 0; start < values.size(); start += size) {
    const std::span<const float> block = std::span(values).subspan(start, size);
    // Encoders compute in f32: at most eight roundings of values no larger than twice the block's.
    const double slack = type == DType::F32 ? 0 : 8 * 0x1p-23 * magnitude(block);
    for (std::size_t i = 0; i < size; ++i) {
      const double error =
          std::fabs(static_cast<double>(decoded[start + i]) - static_cast<double>(block[i]));
      ASSERT_LE(error, bound(type, block, i) + slack)
          << what << ", element " << start + i << ": " << block[i] << " became "
          << decoded[start + i];
    }
  }
}

TEST_P(Encoder, ErrorIsBoundedByTheStep) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const float scale : {1e-30f, 1e-9f, 1e-5f, 0.02f, 1.0f, 300.0f}) {
    std::vector<float> values(16 * 256);
    for (float& value : values) value = scale * normal(random);
    expect_within_bound(GetParam(), values, "normal");
    for (std::size_t i = 0; i < values.size(); ++i)  // sub-blocks of unlike size
      values[i] *= std::pow(10.0f, static_cast<float>(i / 16 % 7) - 5.0f);
    expect_within_bound(GetParam(), values, "uneven");
    for (float& value : values) value = std::fabs(value);
    expect_within_bound(GetParam(), values, "positive");
    for (float& value : values) value = -value;
    expect_within_bound(GetParam(), values, "negative");
  }
}

TEST_P(Encoder, ZerosStayZero) {
  for (const float zero : {0.0f, -0.0f})
    for (const float value : round_trip(GetParam(), std::vector<float>(256, zero)))
      ASSERT_EQ(value, 0.0f);
}

TEST_P(Encoder, EqualAndExtremeElementsStayWithinTheBound) {
  for (const float level : {1.0f, -1.0f, 0.1f, -1e-3f, 65504.0f, 1e-38f, 1e-42f, -1e-45f}) {
    expect_within_bound(GetParam(), std::vector<float>(256, level), "all equal");
    std::vector<float> alone(256, 0.0f);
    alone[77] = level;
    expect_within_bound(GetParam(), alone, "one element");
  }
}

// One broken or huge weight must not make others NaN or infinite, nor change the sign of the huge
// one.
TEST_P(Encoder, OddInputStaysFinite) {
  const float huge = std::numeric_limits<float>::max();
  for (const float odd : {kNan, -kNan, kInfinity, -kInfinity, huge, -huge, 1e20f, -1e20f}) {
    for (const bool everywhere : {false, true}) {
      std::vector<float> values(256, everywhere ? odd : 0.5f);
      values[40] = odd;
      const std::vector<float> decoded = round_trip(GetParam(), values);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const bool keeps = GetParam() == DType::F32 || GetParam() == DType::BF16 ||
                           (GetParam() == DType::F16 && std::isnan(values[i]));
        if (keeps && !(std::fabs(values[i]) < 1e38f)) continue;
        // MXFP4 reaches 6 * 2^127 > FLT_MAX, but its encoder's scale keeps 6 * 2^(e - 127) below
        // it.
        ASSERT_TRUE(std::isfinite(decoded[i])) << "element " << i << " beside " << odd;
      }
      if (!std::isnan(odd)) {
        EXPECT_EQ(std::signbit(decoded[40]), std::signbit(odd)) << odd;
        EXPECT_NE(decoded[40], 0.0f) << odd;
      }
    }
  }
}

TEST_P(Encoder, MixedInfinitiesStayFinite) {
  std::vector<float> values(256, 1.0f);
  for (std::size_t i = 0; i < values.size(); i += 5) {
    values[i] = kInfinity;
    values[(i + 1) % 256] = -kInfinity;
    values[(i + 2) % 256] = kNan;
  }
  const std::vector<float> decoded = round_trip(GetParam(), values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) {
      ASSERT_TRUE(std::isfinite(decoded[i])) << i;
    }
  }
}

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (const quant::Format& format : quant::kFormats)
    if (format.quantize != nullptr) types.push_back(format.id);
  return types;
}

INSTANTIATE_TEST_SUITE_P(Formats, Encoder, testing::ValuesIn(all_types()),
                         [](const testing::TestParamInfo<DType>& parameter) {
                           return std::string(to_string(parameter.param));
                         });

// Given the scale it chose, MXFP4 must take the nearest of its sixteen values.
TEST(Mxfp4Encoder, TakesTheNearestValue) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (int repetition = 0; repetition < 200; ++repetition) {
    float x[32];
    for (float& value : x) value = std::ldexp(normal(random), repetition - 150);
    quant::MXFP4::Block block;
    quant::MXFP4::quantize(x, block);
    float decoded[32];
    quant::MXFP4::dequantize(block, decoded);
    for (int i = 0; i < 32; ++i) {
      const auto error = [&](double value) { return std::fabs(value - static_cast<double>(x[i])); };
      double best = kInfinity;
      for (const int doubled : quant::MXFP4::kDoubled)
        best = std::min(best, error(doubled * static_cast<double>(quant::e8m0_half(block.e))));
      ASSERT_EQ(error(static_cast<double>(decoded[i])), best) << x[i];
    }
  }
}

}  // namespace
}  // namespace ingot
