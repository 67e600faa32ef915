// The seam over the scalar codecs of quant/, compiled once per target. A target that has a better
// way for a format specialises Seam<Format> before it includes this file's users.
#include "cpu/quant/cache_rows.inl"
#include "cpu/quant/packed.inl"
#include "cpu/quant/seam.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_SEAM_INL
#define INGOT_CPU_SEAM_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

template <class Format>
struct Seam {
  static void panel(const std::byte* row, std::int64_t columns, float* out) {
    const auto* block = reinterpret_cast<const typename Format::Block*>(row);
    for (std::int64_t i = 0; i < columns; i += Format::kBlockSize, ++block) {
      Format::dequantize(*block, out + i);
    }
  }

  static void lanes(const std::byte* row, std::int64_t first, std::int64_t count,
                    quant::Lanes32* out) {
    const auto* blocks = reinterpret_cast<const typename Format::Block*>(row);
    std::int64_t g = first;
    while (g < first + count) {
      const typename Format::Block& block = blocks[g / kGroups];
      if (g % kGroups == 0 && g + kGroups <= first + count) {
        whole_block<0>(block, out);
        g += kGroups;
        out += kGroups;
      } else {
        Format::lanes(block, static_cast<int>(g % kGroups), *out++);
        ++g;
      }
    }
  }

 private:
  static constexpr std::int64_t kGroups = Format::kBlockSize / 32;

  // With the group's number a constant, its shifts and masks are too, and the codec's loops become
  // vector code.
  template <int kGroup>
  static void whole_block(const typename Format::Block& block, quant::Lanes32* out) {
    Format::lanes(block, kGroup, out[kGroup]);
    if constexpr (kGroup + 1 < kGroups) whole_block<kGroup + 1>(block, out);
  }
};

/// The codec's bits, a vector at a time.
template <>
inline void Seam<quant::F16>::panel(const std::byte* row, std::int64_t columns, float* out) {
  std::int64_t i = 0;
  for (; i + kRowChunk <= columns; i += kRowChunk) {
    for (int part = 0; part < kChunkVectors; ++part)
      store(out + i + part * kLanes, F16Row::at(row, i / kRowChunk, part));
  }
  for (; i < columns; ++i) out[i] = half_at(row + 2 * i);
}

template <class Format>
constexpr FormatKernels format_kernels() {
  FormatKernels kernels;
  kernels.type = Format::kType;
  kernels.block_size = Format::kBlockSize;
  kernels.block_bytes = sizeof(typename Format::Block);
  kernels.panel = &Seam<Format>::panel;
  if constexpr (Format::kIntegerGrid) {
    kernels.lanes = &Seam<Format>::lanes;
    kernels.has_min = Format::kHasMin;
  }
  if constexpr (Packed<Format>::kExists) {
    kernels.pack = &pack_rows<Format>;
    kernels.unpack_row = &unpack_row<Format>;
  }
  return kernels;
}

/// The seam of a storage type, for this target.
inline const FormatKernels& find_format(DType type) {
  return quant::visit_format(type, [](auto format) -> const FormatKernels& {
    static constexpr FormatKernels kKernels = format_kernels<decltype(format)>();
    return kKernels;
  });
}

/// Bytes of `columns` columns, a multiple of the block size.
inline std::int64_t bytes_of(const FormatKernels& format, std::int64_t columns) {
  return columns / format.block_size * format.block_bytes;
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_SEAM_INL
