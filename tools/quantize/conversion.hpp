// Tensors on their way into another type, and what of them no type should get: NaN, infinities,
// numbers beyond the type's reach.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"

namespace ingot::tools {

/// Streams tensors of one model, checking every element that can be decoded. A weight that is NaN
/// or infinite is damage: encoders would write some other number, and a model with one gives NaN.
class Conversion {
 public:
  /// `allow_nonfinite`: what would be refused is replaced and counted.
  Conversion(std::string model, bool allow_nonfinite,
             std::function<void(std::uint64_t elements)> progress);

  /// The tensor's bytes as type `to`. The tensor's own type copies them, but for blocks with
  /// elements to replace. Error bad_file names tensor and element: NaN or infinity (replaced by 0),
  /// or a finite number that `to` cannot hold within half of it (replaced by the nearest that it
  /// can hold).
  void stream(const GgufTensor& tensor, DType to, const GgufWriter::Sink& sink);

  /// The bytes of a tensor of a type that cannot be decoded here, as they are.
  void copy(const GgufTensor& tensor, const GgufWriter::Sink& sink);

  std::uint64_t replaced() const { return replaced_; }    ///< NaN and infinities, now 0
  std::uint64_t saturated() const { return saturated_; }  ///< beyond the type's reach

 private:
  struct Piece;
  bool make_finite(const Piece& piece, std::span<float> values);
  void check_reach(const Piece& piece, DType to, std::span<float> values,
                   std::span<std::byte> encoded);
  [[noreturn]] void refuse(const Piece& piece, std::size_t element, float value,
                           const std::string& why) const;

  std::string model_;
  bool allow_nonfinite_;
  std::function<void(std::uint64_t)> progress_;
  std::uint64_t replaced_ = 0;
  std::uint64_t saturated_ = 0;
};

}  // namespace ingot::tools
