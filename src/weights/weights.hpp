// The bytes behind a program's tensors: Program tensor -> where it lies in the mapped file.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "ingot/gguf.hpp"
#include "src/program/program.hpp"

namespace ingot::internal {

class Weights {
 public:
  /// Finds each tensor of the program in the file, and decodes those that are stored in another
  /// type (norms and biases of 16 bits: a few rows each). Error bad_file naming the tensor if it is
  /// absent or of another type or size.
  Weights(std::shared_ptr<const GgufFile> file, const Program& program);

  /// Rows [first, first + count) of the tensor, counted through all experts; they lie in one
  /// expert.
  std::span<const std::byte> rows(TensorId id, std::int64_t first, std::int64_t count) const;

  /// The tensor in file order: experts x rows x row_bytes(type, columns), in one piece or, where
  /// experts are tensors of their own, in several.
  std::span<const std::span<const std::byte>> pieces(TensorId id) const {
    return bytes_[static_cast<std::size_t>(id.index)].pieces;
  }

  /// Whether the bytes are the file's, not decoded ones.
  bool is_mapped(TensorId id) const {
    return bytes_[static_cast<std::size_t>(id.index)].decoded.empty();
  }

  /// Tells the system that the tensor's bytes will hardly be needed again: memory that a mapped
  /// file takes for them is let go. They stay readable.
  void release(TensorId id) const;

 private:
  struct Bytes {
    std::vector<std::span<const std::byte>> pieces;
    std::int64_t piece_rows = 0;  // of each piece
    std::size_t row_bytes = 0;
    std::vector<float> decoded;  // what the piece shows, if not the file
  };

  std::shared_ptr<const GgufFile> file_;  // keeps the mapping alive
  std::vector<Bytes> bytes_;
};

/// Decodes row `row` (counted inside the operand's row range, in expert `expert` of its expert
/// range) to float, columns of the operand only. The plain way: one row, scalar codec.
void decode_row(const Program& program, const Weights& weights, const WeightOperand& operand,
                std::int64_t expert, std::int64_t row, std::span<float> out);

}  // namespace ingot::internal
