// How rows are rounded to the cache's types. Quantized types rotate (row_rotation.hpp) and then
// look for the codes with the least squared error.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/quant/formats.hpp"
#include "src/state/host_pool.hpp"
#include "src/state/row_rotation.hpp"

namespace ingot::internal {
namespace {

constexpr int kSize = kRotationSize;

using Block = float[kSize];

void transform(Block& x) {
  for (int half = 1; half < kSize; half *= 2) {
    for (int i = 0; i < kSize; i += 2 * half) {
      for (int j = i; j < i + half; ++j) {
        const float a = x[j];
        const float b = x[j + half];
        x[j] = a + b;
        x[j + half] = a - b;
      }
    }
  }
  for (float& v : x) v *= kRotationNorm;
}

void flip_signs(Block& x) {
  for (int i = 0; i < kSize; ++i) x[i] = (kRotationSigns >> i & 1U) != 0 ? -x[i] : x[i];
}

void rotate(Block& x) {
  flip_signs(x);
  transform(x);
}

void unrotate(Block& x) {
  transform(x);
  flip_signs(x);
}

/// Codes, kept as floats for the vector units, and their scale.
struct Coded {
  Block code;
  float scale = 0;  ///< as an f16 holds it
  float squared_error = 0;
};

/// The nearest codes of a rotated block. Adding 1.5 * 2^23 rounds to an integer, ties to even.
template <class Codes>
void round_codes(const Block& rotated, float scale, Coded& out) {
  constexpr float kRounder = 12582912.0F;
  constexpr int kSums = 8;  // apart, so that the order of additions is the same on every machine
  const float inverse = quant::inverse_or_zero(scale);
  float sums[kSums] = {};
  for (int i = 0; i < kSize; i += kSums) {
    for (int j = 0; j < kSums; ++j) {
      const float wanted = rotated[i + j] * inverse;
      const float bounded = std::min(std::max(wanted, Codes::kLow), Codes::kHigh);
      const float code = (bounded + kRounder) - kRounder;
      const float error = rotated[i + j] - code * scale;
      out.code[i + j] = code;
      sums[j] += error * error;
    }
  }
  out.scale = scale;
  out.squared_error = 0;
  for (const float sum : sums) out.squared_error += sum;
}

/// A padded block stores 32 codes for `used` < 32 elements: what the others decode to is never
/// read, so many codes mean nearly the same row. Moves single codes by one step as long as that
/// brings the elements that count closer.
template <class Codes>
void refine_padded(const Block& row, int used, Coded& out) {
  const float scale = out.scale;
  Block error;
  for (int i = 0; i < kSize; ++i) error[i] = out.code[i] * scale;
  unrotate(error);
  for (int i = 0; i < kSize; ++i) error[i] = i < used ? row[i] - error[i] : 0.0F;
  // One step of code j moves the row by a vector of squared length scale^2 * used / 32.
  const float cost = std::fabs(scale) * static_cast<float>(used) / kSize;
  constexpr int kMostSteps = 24;  // a row of 16 takes about 10
  for (int step = 0; step < kMostSteps; ++step) {
    Block slope;
    std::copy(error, error + kSize, slope);
    rotate(slope);
    int best = -1;
    float most = cost * 1e-3F;  // a gain within rounding is none
    for (int j = 0; j < kSize; ++j) {
      const float moved = out.code[j] + (slope[j] * scale > 0 ? 1.0F : -1.0F);
      const float gain = 2 * std::fabs(slope[j]) - cost;
      if (gain > most && moved >= Codes::kLow && moved <= Codes::kHigh) {
        best = j;
        most = gain;
      }
    }
    if (best < 0) break;
    const float direction = slope[best] * scale > 0 ? 1.0F : -1.0F;
    out.code[best] += direction;
    Block move = {};
    move[best] = direction * scale;
    unrotate(move);
    for (int i = 0; i < used; ++i) error[i] -= move[i];
  }
}

/// Tries scales near the one that just holds the largest element; the best of several independent
/// roundings is better than the one.
template <class Codes>
Coded encode_block(const float* row, int used) {
  Block x;
  for (int i = 0; i < kSize; ++i) {
    x[i] = i < used ? std::clamp(quant::encodable(row[i]), -quant::kF16Max, quant::kF16Max) : 0.0F;
  }
  Block rotated;
  std::copy(x, x + kSize, rotated);
  rotate(rotated);
  const float fitting = Codes::fitting_scale(rotated);
  Coded tried[2];
  int best = 0;
  for (int c = 0; c < Codes::kScales; ++c) {
    const int current = c == 0 ? 0 : 1 - best;
    const float stretch = 1.0F + Codes::kSpacing * static_cast<float>(c);
    const float scale = quant::from_f16(quant::to_f16_saturating(fitting * stretch));
    round_codes<Codes>(rotated, scale, tried[current]);
    if (c == 0 || tried[current].squared_error < tried[best].squared_error) best = current;
  }
  if (used < kSize && tried[best].scale != 0.0F) refine_padded<Codes>(x, used, tried[best]);
  return tried[best];
}

struct Q8Codes {
  using Stored = quant::Q8_0::Block;
  static constexpr float kLow = -127.0F;
  static constexpr float kHigh = 127.0F;
  static constexpr int kScales = 4;
  static constexpr float kSpacing = 0.008F;  // moves a middling code of 60 by half a step

  static float fitting_scale(const Block& x) {
    float largest = 0;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    return largest / kHigh;
  }

  static void write(const Coded& coded, Stored& out) {
    out.d = quant::to_f16_saturating(coded.scale);
    for (int i = 0; i < kSize; ++i) out.q[i] = static_cast<std::int8_t>(coded.code[i]);
  }
};

struct Q4Codes {
  using Stored = quant::Q4_0::Block;
  static constexpr float kLow = -8.0F;
  static constexpr float kHigh = 7.0F;
  static constexpr int kScales = 4;
  static constexpr float kSpacing = -0.05F;  // clipping the largest a little gains more for others

  /// The element of largest magnitude becomes -8, the side with one code more.
  static float fitting_scale(const Block& x) { return quant::signed_max(x, kSize) / kLow; }

  static void write(const Coded& coded, Stored& out) {
    out.d = quant::to_f16_saturating(coded.scale);
    for (int i = 0; i < kSize / 2; ++i) {
      const int low = static_cast<int>(coded.code[i]) + 8;
      const int high = static_cast<int>(coded.code[i + kSize / 2]) + 8;
      out.codes[i] = static_cast<std::uint8_t>(low | high << 4);
    }
  }
};

template <class Codes>
void encode_blocks(std::span<const float> row, std::byte* out) {
  const auto size = static_cast<int>(row.size());
  for (int i = 0; i < size; i += kSize) {
    const Coded coded = encode_block<Codes>(row.data() + i, std::min(kSize, size - i));
    typename Codes::Stored block;
    Codes::write(coded, block);
    std::memcpy(out, &block, sizeof(block));
    out += sizeof(block);
  }
}

}  // namespace

void encode_state_row(DType type, std::span<const float> row, std::byte* out) {
  switch (type) {
    case DType::Q8_0: encode_blocks<Q8Codes>(row, out); break;
    case DType::Q4_0: encode_blocks<Q4Codes>(row, out); break;
    default: quant::format(type).quantize(row.data(), out, static_cast<std::int64_t>(row.size()));
  }
}

void decode_state_row(DType type, const std::byte* in, std::span<float> row) {
  const quant::Format& format = quant::format(type);
  const auto size = static_cast<std::int64_t>(row.size());
  if (!is_rotated(type)) {
    format.dequantize(in, row.data(), size);
    return;
  }
  for (std::int64_t i = 0; i < size; i += kSize) {
    Block x;
    format.dequantize(in, x, kSize);
    unrotate(x);
    std::copy(x, x + std::min<std::int64_t>(kSize, size - i), row.data() + i);
    in += row_bytes(type, kSize);
  }
}

}  // namespace ingot::internal
