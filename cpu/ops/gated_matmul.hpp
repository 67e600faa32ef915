// A gated feed-forward as one chain: MatMul of gate and up, Glu, MatMul. The gated product of a few
// columns is made ready for the next product where it is still in the cache, so it never exists as
// a matrix; with many rows gate and up do not either.
#pragma once

#include <optional>

#include "cpu/ops/norm_matmul.hpp"

namespace ingot::internal::cpu {

/// The kernels in the place of three instructions of which each reads what the one before it wrote
/// and nobody else does, and of those before the first.
struct GatedMatMul {
  Kernels gated;  ///< up to the Glu
  Kernels next;   ///< of the second MatMul
};

/// Nothing where the weights' formats want it otherwise: activations of the second MatMul that are
/// not prepared, or gate and up on different paths.
std::optional<GatedMatMul> build_gated(const BeforeMatMul& before, const ops::MatMul& first,
                                       const ops::Glu& glu, const ops::MatMul& next,
                                       const BuildContext& context);

}  // namespace ingot::internal::cpu
