#include "src/weights/weights.hpp"

#include "ingot/error.hpp"

namespace ingot::internal {

Weights::Weights(std::shared_ptr<const GgufFile> file, const Program& program)
    : file_(std::move(file)) {
  bytes_.reserve(program.tensors.size());
  for (const Tensor& tensor : program.tensors) {
    const DType stored = tensor.stored_as.value_or(tensor.type);
    const auto names = tensor.parts.empty() ? std::vector<std::string>{tensor.name} : tensor.parts;
    Bytes bytes;
    bytes.row_bytes = row_bytes(tensor.type, tensor.columns);
    bytes.piece_rows = tensor.rows * tensor.experts / std::ssize(names);
    const std::uint64_t size =
        row_bytes(stored, tensor.columns) * static_cast<std::uint64_t>(bytes.piece_rows);
    for (const std::string& name : names) {
      const GgufTensor& found = file_->tensor(name);
      if (found.dtype() != stored || found.data.size() != size) {
        fail(ErrorCode::bad_file, file_->path(), ": tensor ", gguf::quoted(name),
             " is not the one the program was written for");
      }
      bytes.pieces.push_back(found.data);
    }
    if (stored != tensor.type) {
      bytes.decoded.resize(static_cast<std::size_t>(tensor.columns * bytes.piece_rows));
      dequantize(stored, bytes.pieces.front(), bytes.decoded);
      bytes.pieces = {std::as_bytes(std::span<const float>(bytes.decoded))};
    }
    bytes_.push_back(std::move(bytes));
  }
}

std::span<const std::byte> Weights::rows(TensorId id, std::int64_t first,
                                         std::int64_t count) const {
  const Bytes& bytes = bytes_[static_cast<std::size_t>(id.index)];
  const auto piece = static_cast<std::size_t>(first / bytes.piece_rows);
  const auto row = static_cast<std::size_t>(first % bytes.piece_rows);
  return bytes.pieces[piece].subspan(row * bytes.row_bytes,
                                     static_cast<std::size_t>(count) * bytes.row_bytes);
}

void Weights::release(TensorId id) const {
  if (!is_mapped(id)) return;
  for (const auto piece : pieces(id)) file_->release(piece);
}

void decode_row(const Program& program, const Weights& weights, const WeightOperand& operand,
                std::int64_t expert, std::int64_t row, std::span<float> out) {
  const Tensor& tensor = program.tensor(operand.tensor);
  const std::int64_t index =
      (operand.experts.begin + expert) * tensor.rows + operand.rows.begin + row;
  const std::uint64_t offset = row_bytes(tensor.type, operand.columns.begin);
  const std::uint64_t size = row_bytes(tensor.type, operand.columns.size());
  dequantize(tensor.type, weights.rows(operand.tensor, index, 1).subspan(offset, size), out);
}

}  // namespace ingot::internal
