// Random weights in any storage type, made at the speed of a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/gguf_writer.hpp"
#include "ingot/sampler/random.hpp"

namespace ingot::tools {

/// Encoding every weight would take minutes per GB. Instead half a million random weights are
/// encoded once and a matrix is filled with blocks drawn from them: a row of six Q4_K blocks has
/// 2048^6 forms, so rows differ and matrices keep their full rank.
class BlockPool {
 public:
  /// Weights with mean 0 and the given standard deviation: normal for types with an encoder,
  /// uniform codes under random scales for the others.
  BlockPool(DType type, double deviation, std::uint64_t seed);

  /// Fills `out`, whole units, with units drawn at random.
  void draw(Pcg32& random, std::span<std::byte> out) const;

  std::size_t unit_bytes() const { return unit_bytes_; }

 private:
  std::size_t unit_bytes_;  ///< of a block, or of 32 elements in types with smaller blocks
  std::vector<std::byte> units_;
};

/// The pools that a model needs, each made when it is first asked for.
class RandomWeights {
 public:
  explicit RandomWeights(std::uint64_t seed) : seed_(seed) {}

  /// Streams a matrix with standard deviation 1 / sqrt(columns): products with a vector whose
  /// elements have variance 1 have variance 1 again. `number` tells the tensors of a model apart;
  /// `progress` is called with the bytes of each piece.
  void stream(DType type, std::int64_t columns, std::uint64_t bytes, std::uint64_t number,
              const GgufWriter::Sink& sink, const std::function<void(std::uint64_t)>& progress);

  /// `count` normal numbers with a standard deviation.
  std::vector<float> normal(std::size_t count, double deviation, std::uint64_t number) const;

 private:
  std::uint64_t seed_;
  std::map<std::pair<DType, std::int64_t>, BlockPool> pools_;
};

}  // namespace ingot::tools
