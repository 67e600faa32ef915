// The kernel table of a target: every loop, compiled by the translation unit that includes this.
#include "cpu/dispatch/targets.hpp"
#include "cpu/ops/attention.inl"
#include "cpu/ops/elementwise.inl"
#include "cpu/ops/float_rows.inl"
#include "cpu/ops/halves.inl"
#include "cpu/ops/integer_panels.inl"
#include "cpu/ops/latent_attention.inl"
#include "cpu/ops/matmul.inl"
#include "cpu/ops/norm.inl"
#include "cpu/ops/packed_columns.inl"
#include "cpu/ops/packed_rows.inl"
#include "cpu/ops/quantize.inl"
#include "cpu/ops/rope.inl"
#include "cpu/ops/tile_product.inl"
#include "cpu/quant/seam.inl"
#include "cpu/targets/target.hpp"

#define INGOT_CPU_TEXT_OF(name) #name
#define INGOT_CPU_TEXT(name) INGOT_CPU_TEXT_OF(name)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline const char* running() {
  return INGOT_CPU_TEXT(INGOT_CPU_TARGET);
}

template <class Format>
constexpr PackedKernels packed_kernels() {
  PackedKernels kernels;
  if constexpr (Packed<Format>::kExists) {
    kernels.few_rows = &multiply_packed<Packed<Format>>;
    kernels.transposed = &multiply_packed_transposed<Packed<Format>>;
#if defined(__AMX_BF16__)
    kernels.tiles = &multiply_packed_tiles<Packed<Format>>;
#else
    kernels.panels = &multiply_packed_panels<Packed<Format>>;
#endif
  }
  return kernels;
}

inline const PackedKernels& find_packed(DType type) {
  return quant::visit_format(type, [](auto format) -> const PackedKernels& {
    static constexpr PackedKernels kKernels = packed_kernels<decltype(format)>();
    return kKernels;
  });
}

const KernelTable kTable = {
    .name = INGOT_CPU_TEXT(INGOT_CPU_TARGET),
    .lanes = kLanes,
    .running = &running,
    .format = &find_format,
    .decode_row = &decode_row,
    .splits_activations = kSplitsActivations,
    .quantize_row = &quantize_row<FewRowsOrder>,
    .quantize_in_order = &quantize_row<ColumnOrder>,
    .few_rows = &multiply_few_rows,
    .few_floats = &multiply_few_floats<false>,
    .few_floats_in_order = &multiply_few_floats<true>,
    .many_rows = &multiply_many_rows,
    .packed = &find_packed,
#if defined(__AMX_BF16__)
    .pack_tiles = &pack_tiles,
    .file_tiles = &multiply_file_tiles,
#else
    .pack_tiles = nullptr,
    .file_tiles = nullptr,
#endif
    .attend = &attend,
    .add_splits = &add_splits,
    .merge_splits = &merge_splits,
    .transposed = &multiply_transposed,
    .store_halves = &store_halves,
    .norm = &normalise,
    .rope = &rotate,
    .activate = &activate,
    .glu = &gated,
    .add = &add,
    .scale = &scale,
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#undef INGOT_CPU_TEXT
#undef INGOT_CPU_TEXT_OF
