// What a device states about its arithmetic: which numbers it rounds, how sums are added up, for
// the paths that run. From this the bounds follow (error_bound.hpp), the same way for every device.
// A number of roundings is how many may follow each other on the way of one term into its sum.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/device.hpp"
#include "src/program/program.hpp"

namespace ingot::internal {

/// The rounding of one f32 operation.
inline constexpr double kF32Unit = 0x1p-24;

/// How a factor is rounded before it is multiplied.
enum class Rounding : std::uint8_t {
  none,           ///< it is not
  f16,            ///< to nearest
  bf16,           ///< to nearest
  bf16_enlarged,  ///< times 1 + 1/384, then cut to bf16; the scale of a block may lose 9 bits
                  ///< before
  bf16_pair,      ///< the sum of two bf16, whose lower parts are not multiplied with each other
  i16_blocks,     ///< 32 columns to integers with one scale, the largest magnitude / 32639
  i8_blocks,      ///< the same / 127
};

/// What every operation has in common.
struct Arithmetic {
  double unit = kF32Unit;             ///< of one operation; 0: double
  double exponential = 0;             ///< relative error of e^x
  double gate = 0;                    ///< of the exponentials that Route compares and divides
  double least_exponential = 0;       ///< e^x below this may be 0
  double smallest = 0x1p-149;         ///< what underflow may take from a result
  std::int64_t squares_in_f32 = 256;  ///< of a norm, added up before double takes over
};

/// Activations times weights: the sum over columns.
struct ProductModel {
  Rounding activations = Rounding::none;
  Rounding weights = Rounding::none;
  double roundings = 0;
  double smallest = 0x1p-149;  ///< what underflow may take from a product
};

/// The first `rows` weight rows that no part before has: parts cover a weight.
struct ProductPart {
  std::int64_t rows = 0;
  ProductModel model;
};

/// Scores, softmax, weighted sum. Roundings of sums over positions are counted from the model's by
/// the bound: their number grows with the positions.
struct AttentionModel {
  Rounding scores = Rounding::none;   ///< of queries and keys
  Rounding weights = Rounding::none;  ///< of e^(score - largest)
  Rounding values = Rounding::none;
  double score_roundings = 0;
  double sum_roundings = 0;    ///< beside those that grow
  double smallest = 0x1p-149;  ///< what underflow may take from a product
  bool rotates_in_f32 =
      false;  ///< queries and results, instead of rows in double (row_rotation.hpp)
};

/// Attention over latents. Absorbed: queries times K, attention over latents, V times the result.
/// Expanded: keys and values of every position are made of its latent and rounded, then attention.
struct LatentModel {
  bool expanded = false;
  Rounding expanded_rows = Rounding::none;  ///< of keys and values
  /// Products with keys and values; keys of an absorbed form that multiply against their rows round
  /// sums only.
  std::vector<ProductPart> keys;
  std::vector<ProductPart> values;
  AttentionModel attention;
};

/// The description, for one program and one set of options. A device that computes in double states
/// a unit of 0, and nothing else of it is asked for.
class ErrorModel {
 public:
  virtual ~ErrorModel() = default;
  virtual Arithmetic arithmetic() const = 0;
  /// Of a norm over `size` columns: the sum of squares.
  virtual double norm_roundings(std::int64_t size) const = 0;
  /// `rows` rows of activations times a weight, one expert's if it has several.
  virtual std::vector<ProductPart> product(const WeightOperand& weight,
                                           std::int64_t rows) const = 0;
  /// `rows` rows of one sequence from its beginning.
  virtual AttentionModel attention(const ops::Attention& op, const CacheTypes& types,
                                   std::int64_t rows) const = 0;
  virtual LatentModel latent_attention(const ops::LatentAttention& op, const CacheTypes& types,
                                       std::int64_t rows) const = 0;
};

}  // namespace ingot::internal
