// The kernel table of a target: every loop, compiled by the translation unit that includes this.
#include "cpu/dispatch/targets.hpp"
#include "cpu/ops/attention.inl"
#include "cpu/ops/elementwise.inl"
#include "cpu/ops/latent_attention.inl"
#include "cpu/ops/matmul.inl"
#include "cpu/ops/norm.inl"
#include "cpu/ops/rope.inl"
#include "cpu/quant/seam.inl"
#include "cpu/targets/target.hpp"

#define INGOT_CPU_TEXT_OF(name) #name
#define INGOT_CPU_TEXT(name) INGOT_CPU_TEXT_OF(name)

namespace ingot::cpu::INGOT_CPU_TARGET {

inline const char* running() {
  return INGOT_CPU_TEXT(INGOT_CPU_TARGET);
}

const KernelTable kTable = {
    .name = INGOT_CPU_TEXT(INGOT_CPU_TARGET),
    .running = &running,
    .format = &find_format,
    .quantize_row = &quantize_row,
    .few_rows = &multiply_few_rows,
    .many_rows = &multiply_many_rows,
    .attend = &attend,
    .merge_splits = &merge_splits,
    .multiply_head = &multiply_head,
    .norm = &normalise,
    .rope = &rotate,
    .activate = &activate,
    .glu = &gated,
    .glu_within = &gated_within,
    .add = &add,
    .scale = &scale,
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#undef INGOT_CPU_TEXT
#undef INGOT_CPU_TEXT_OF
