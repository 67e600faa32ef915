// The choice among Glu's loops, for the instruction alone and within a chain (gated_matmul.hpp).
#pragma once

#include "cpu/dispatch/kernel_table.hpp"
#include "src/ops/glu.hpp"

namespace ingot::cpu {

/// `count` elements, each gated by its own.
inline void multiply_gated(const KernelTable& table, const ops::Glu& op, const float* gate,
                           const float* up, float* out, std::int64_t count) {
  if (op.limit > 0) {
    table.glu_within(op.kind, static_cast<float>(op.limit), gate, up, out, count);
  } else {
    table.glu(op.kind, gate, up, out, count);
  }
}

}  // namespace ingot::cpu
