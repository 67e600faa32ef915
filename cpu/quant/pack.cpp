#include "cpu/quant/pack.hpp"

#include <chrono>
#include <cstring>
#include <new>

#include "ingot/error.hpp"

namespace ingot::cpu {
namespace {

// Blocks are read through pointers to structs whose widest member is an f32. GGUF aligns tensors to
// at least 8 bytes; what some other source aligns worse is copied.
constexpr std::size_t kAlignment = 4;

bool is_aligned(const std::byte* data) {
  return reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0;
}

}  // namespace

PackedWeights::PackedWeights(const Program& program, std::shared_ptr<const Weights> weights,
                             const KernelTable& table, const Progress& progress)
    : weights_(std::move(weights)) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t total = 0;
  for (const Tensor& tensor : program.tensors) total += tensor.bytes();
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < program.tensors.size(); ++i) {
    const Tensor& tensor = program.tensors[i];
    const auto bytes = weights_->bytes({static_cast<std::int32_t>(i)});
    const FormatKernels& format = table.format(tensor.type);
    if (format.pack == nullptr && is_aligned(bytes.data())) {
      data_.push_back(bytes.data());
      report_.mapped_bytes += bytes.size();
    } else {
      auto& copy = copies_.emplace_back(new (std::nothrow) std::byte[bytes.size()]);
      if (copy == nullptr) {
        fail(ErrorCode::out_of_memory, "no memory for the packed copy of ", tensor.name, " (",
             bytes.size(), " bytes); choose a smaller model or a smaller quantization");
      }
      if (format.pack == nullptr) {
        std::memcpy(copy.get(), bytes.data(), bytes.size());
      } else {
        format.pack(bytes.data(), tensor.rows * tensor.experts,
                    static_cast<std::int64_t>(row_bytes(tensor.type, tensor.columns)), copy.get());
      }
      data_.push_back(copy.get());
      report_.packed_bytes += bytes.size();
    }
    done += bytes.size();
    if (progress) progress("weights", done, total);
  }
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace ingot::cpu
