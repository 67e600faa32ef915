#include "cpu/quant/pack.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "cpu/quant/packed.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::cpu {
namespace {

// Blocks are read through pointers to structs whose widest member is an f32. GGUF aligns tensors to
// at least 8 bytes; what some other source aligns worse is copied.
constexpr std::size_t kAlignment = 4;

// Copies begin on cache lines.
constexpr std::uint64_t kCopyAlignment = 64;

bool is_aligned(const std::byte* data) {
  return reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0;
}

// Instructions whose kernels read interleaved rows.
bool reads_packed(const Instruction& instruction) {
  return std::holds_alternative<ops::MatMul>(instruction) ||
         std::holds_alternative<ops::ExpertMatMul>(instruction) ||
         std::holds_alternative<ops::LatentAttention>(instruction) ||
         std::holds_alternative<ops::EmbedRows>(instruction);
}

// The parts of tensors that kernels read each by itself.
std::vector<WeightOperand> parts_read(const Instruction& instruction) {
  const auto* latent = std::get_if<ops::LatentAttention>(&instruction);
  if (latent == nullptr) return operands(instruction).weights;
  std::vector<WeightOperand> parts;
  for (std::int64_t head = 0; head < latent->head_count; ++head) {
    parts.push_back(ops::key_weight(*latent, head).weight);
    parts.push_back(ops::value_weight(*latent, head).weight);
  }
  return parts;
}

// A range of rows that begins and ends between groups of interleaved rows.
bool is_group_range(const Tensor& tensor, const WeightOperand& operand) {
  return operand.columns.begin == 0 && operand.columns.end == tensor.columns &&
         operand.rows.begin % kGroupRows == 0 &&
         (operand.rows.end % kGroupRows == 0 || operand.rows.end == tensor.rows);
}

std::uint64_t copy_bytes(const Tensor& tensor) {
  return (tensor.bytes() + kCopyAlignment - 1) / kCopyAlignment * kCopyAlignment;
}

void pack_tensor(const Tensor& tensor, TensorId id, std::int64_t packed_rows,
                 const FormatKernels& format, const Weights& in, std::byte* out,
                 const ParallelFor& parallel) {
  const auto bytes = static_cast<std::int64_t>(row_bytes(tensor.type, tensor.columns));
  const std::int64_t groups = packed_rows / kGroupRows;
  if (groups > 0) {
    parallel(groups * tensor.experts, [&](std::int64_t task) {
      const std::int64_t row = task / groups * tensor.rows + task % groups * kGroupRows;
      format.pack(in.rows(id, row, kGroupRows).data(), bytes, out + row * bytes);
    });
  }
  const std::int64_t left = tensor.rows - packed_rows;
  for (std::int64_t expert = 0; left > 0 && expert < tensor.experts; ++expert) {
    const std::int64_t row = expert * tensor.rows + packed_rows;
    const auto rest = in.rows(id, row, left);
    std::memcpy(out + row * bytes, rest.data(), rest.size());
  }
}

}  // namespace

std::vector<std::int64_t> packed_rows(const Program& program, const KernelTable& table) {
  std::vector<std::int64_t> rows;
  for (const Tensor& tensor : program.tensors) {
    const bool can = table.format(tensor.type).pack != nullptr;
    rows.push_back(can ? tensor.rows / kGroupRows * kGroupRows : 0);
  }
  for (const Instruction& instruction : program.instructions) {
    const bool reads = reads_packed(instruction);
    for (const WeightOperand& operand : parts_read(instruction)) {
      if (reads && is_group_range(program.tensor(operand.tensor), operand)) continue;
      rows[static_cast<std::size_t>(operand.tensor.index)] = 0;
    }
  }
  return rows;
}

PackedWeights::PackedWeights(const Program& program, std::shared_ptr<const Weights> weights,
                             const KernelTable& table, const ParallelFor& parallel,
                             const Progress& progress)
    : weights_(std::move(weights)), packed_rows_(cpu::packed_rows(program, table)) {
  const auto start = std::chrono::steady_clock::now();
  const auto is_copied = [&](std::size_t i) {
    const auto pieces = weights_->pieces({static_cast<std::int32_t>(i)});
    // Kernels step from expert to expert, so a tensor must be in one piece.
    return packed_rows_[i] > 0 || pieces.size() > 1 || !is_aligned(pieces.front().data());
  };
  std::uint64_t total = 0;
  std::uint64_t copied = 0;
  for (std::size_t i = 0; i < program.tensors.size(); ++i) {
    total += program.tensors[i].bytes();
    if (is_copied(i)) copied += copy_bytes(program.tensors[i]);
  }
  if (copied > 0) {
    copies_ = map_lazily(copied);
    if (copies_ == nullptr) {
      fail(ErrorCode::out_of_memory, "no memory for the packed weights (", copied,
           " bytes); choose a smaller model or a smaller quantization");
    }
  }
  std::byte* next = copies_.get();
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < program.tensors.size(); ++i) {
    const Tensor& tensor = program.tensors[i];
    const TensorId id{static_cast<std::int32_t>(i)};
    if (is_copied(i)) {
      pack_tensor(tensor, id, packed_rows_[i], table.format(tensor.type), *weights_, next,
                  parallel);
      weights_->release(id);
      data_.push_back(next);
      next += copy_bytes(tensor);
      report_.packed_bytes += tensor.bytes();
    } else {
      data_.push_back(weights_->pieces(id).front().data());
      (weights_->is_mapped(id) ? report_.mapped_bytes : report_.packed_bytes) += tensor.bytes();
    }
    done += tensor.bytes();
    if (progress) progress("weights", done, total);
  }
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace ingot::internal::cpu
