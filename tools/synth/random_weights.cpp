#include "synth/random_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ingot::tools {
namespace {

constexpr std::size_t kPoolElements = std::size_t{1} << 19U;  // 0.3 MB of Q4_K, 2 MB of F32
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

std::vector<float> normal_numbers(Pcg32& random, std::size_t count, double deviation) {
  constexpr double kTwoPi = 6.283185307179586476925;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; i += 2) {  // Box and Muller: two from two
    const double radius = deviation * std::sqrt(-2 * std::log(1 - random.uniform()));
    const double angle = kTwoPi * random.uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return values;
}

/// Gives a block of random codes its scale, and the offset that makes its mean 0.
template <class Type>
void set_scale(std::byte* at, float d) {
  typename Type::Block block;
  std::memcpy(&block, at, sizeof block);
  if constexpr (Type::kType == DType::Q2_K) {
    for (auto& scale : block.scales) {
      // Scale and min alike, so that dmin / d decides where 0 lies among the codes 0 to 3.
      const unsigned nibble = 8U | (scale & 7U);
      scale = static_cast<std::uint8_t>(nibble | (nibble << 4U));
    }
    block.dmin = quant::to_f16(1.5F * d);
  }
  if constexpr (Type::kType == DType::Q4_1) block.m = quant::to_f16(-7.5F * d);
  if constexpr (Type::kType == DType::Q5_1) block.m = quant::to_f16(-15.5F * d);
  if constexpr (requires { block.d; }) block.d = quant::to_f16(d);
  std::memcpy(at, &block, sizeof block);
}

/// Blocks for types that have no encoder here: every code is a valid one, so only the scales need
/// care. Their sign is random, which takes the mean out of codes that are not symmetric.
void make_blocks(DType type, double deviation, Pcg32& random, std::vector<std::byte>& blocks) {
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(random.next() >> 24U);
  const auto bytes = static_cast<std::size_t>(block_bytes(type));
  quant::visit_format(type, [&](auto format) {
    using Type = decltype(format);
    for (std::size_t at = 0; at < blocks.size(); at += bytes) set_scale<Type>(&blocks[at], 1);
    std::vector<float> decoded(kPoolElements);
    dequantize(type, blocks, decoded);
    double squares = 0;
    for (const float x : decoded) squares += static_cast<double>(x) * static_cast<double>(x);
    const double unit = deviation / std::sqrt(squares / static_cast<double>(decoded.size()));
    for (std::size_t at = 0; at < blocks.size(); at += bytes) {
      const double size = 0.75 + 0.5 * random.uniform();
      const double d = random.next() >> 31U != 0 ? unit * size : -unit * size;
      set_scale<Type>(&blocks[at], static_cast<float>(d));
    }
  });
}

}  // namespace

BlockPool::BlockPool(DType type, double deviation, std::uint64_t seed) {
  const std::int64_t unit = std::max<std::int64_t>(32, block_size(type));
  unit_bytes_ = static_cast<std::size_t>(row_bytes(type, unit));
  units_.resize(static_cast<std::size_t>(row_bytes(type, kPoolElements)));
  Pcg32 random(seed, static_cast<std::uint64_t>(type));
  if (quant::format(type).quantize != nullptr) {
    quantize(type, normal_numbers(random, kPoolElements, deviation), units_);
  } else {
    make_blocks(type, deviation, random, units_);
  }
}

void BlockPool::draw(Pcg32& random, std::span<std::byte> out) const {
  const auto count = static_cast<std::uint32_t>(units_.size() / unit_bytes_);  // a power of two
  for (std::size_t at = 0; at < out.size(); at += unit_bytes_) {
    const std::size_t from = (random.next() & (count - 1)) * unit_bytes_;
    std::memcpy(&out[at], &units_[from], unit_bytes_);
  }
}

void RandomWeights::stream(DType type, std::int64_t columns, std::uint64_t bytes,
                           std::uint64_t number, const GgufWriter::Sink& sink,
                           const std::function<void(std::uint64_t)>& progress) {
  const double deviation = 1 / std::sqrt(static_cast<double>(columns));
  const BlockPool& pool = pools_.try_emplace({type, columns}, type, deviation, seed_).first->second;
  Pcg32 random(seed_, number);
  std::vector<std::byte> piece(kPieceBytes / pool.unit_bytes() * pool.unit_bytes());
  for (std::uint64_t done = 0; done < bytes;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), bytes - done));
    const auto part = std::span(piece).first(size);
    pool.draw(random, part);
    sink(part);
    done += size;
    progress(size);
  }
}

std::vector<float> RandomWeights::normal(std::size_t count, double deviation,
                                         std::uint64_t number) const {
  Pcg32 random(seed_, number);
  return normal_numbers(random, count, deviation);
}

}  // namespace ingot::tools
