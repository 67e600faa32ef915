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
  /// Finds each tensor of the program in the file. Error bad_file naming the tensor if it is absent
  /// or of another type or shape.
  Weights(std::shared_ptr<const GgufFile> file, const Program& program);

  /// The tensor in file order: experts x rows x row_bytes(type, columns).
  std::span<const std::byte> bytes(TensorId id) const {
    return bytes_[static_cast<std::size_t>(id.index)];
  }

  /// Tells the system that the tensor's bytes will hardly be needed again: memory that a mapped
  /// file takes for them is let go. They stay readable.
  void release(TensorId id) const { file_->release(bytes(id)); }

 private:
  std::shared_ptr<const GgufFile> file_;  // keeps the mapping alive
  std::vector<std::span<const std::byte>> bytes_;
};

/// Decodes row `row` (counted inside the operand's row range, in expert `expert` of its expert
/// range) to float, columns of the operand only. The plain way: one row, scalar codec.
void decode_row(const Program& program, const Weights& weights, const WeightOperand& operand,
                std::int64_t expert, std::int64_t row, std::span<float> out);

}  // namespace ingot::internal
