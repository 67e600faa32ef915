#include "src/weights/weights.hpp"

#include "ingot/error.hpp"

namespace ingot::internal {

Weights::Weights(std::shared_ptr<const GgufFile> file, const Program& program)
    : file_(std::move(file)) {
  bytes_.reserve(program.tensors.size());
  for (const Tensor& tensor : program.tensors) {
    const GgufTensor& found = file_->tensor(tensor.name);
    if (found.dtype() != tensor.type || found.columns() != tensor.columns ||
        found.rows() != tensor.rows * tensor.experts || found.data.size() != tensor.bytes()) {
      fail(ErrorCode::bad_file, file_->path(), ": tensor ", tensor.name,
           " is not the one the program was written for");
    }
    bytes_.push_back(found.data);
  }
}

void decode_row(const Program& program, const Weights& weights, const WeightOperand& operand,
                std::int64_t expert, std::int64_t row, std::span<float> out) {
  const Tensor& tensor = program.tensor(operand.tensor);
  const std::int64_t index =
      (operand.experts.begin + expert) * tensor.rows + operand.rows.begin + row;
  const std::uint64_t offset =
      static_cast<std::uint64_t>(index) * row_bytes(tensor.type, tensor.columns) +
      row_bytes(tensor.type, operand.columns.begin);
  const std::uint64_t size = row_bytes(tensor.type, operand.columns.size());
  dequantize(tensor.type, weights.bytes(operand.tensor).subspan(offset, size), out);
}

}  // namespace ingot::internal
