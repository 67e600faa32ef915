// Attention with its neighbours: queries that a Rope before it would turn are turned as they are
// read, and what a MatMul behind it multiplies on tiles is written as tiles, so that neither exists
// as a matrix.
#pragma once

#include "cpu/ops/build.hpp"
#include "src/ops/attention.hpp"
#include "src/ops/matmul.hpp"
#include "src/ops/rope.hpp"

namespace ingot::internal::cpu {

/// What an Attention takes over. Nobody else reads what lies between.
struct AroundAttention {
  /// Turns the queries. Its result lies where its input does (written_in_place() in
  /// executable.cpp), which therefore lives as long.
  const ops::Rope* rope = nullptr;
  const ops::MatMul* next = nullptr;  ///< multiplies the results
};

/// Whether Attention can turn its queries itself: heads have the size that `rope` knows.
bool takes_rope(const ops::Attention& op, const ops::Rope& rope, const BuildContext& context);

/// Whether it can prepare its results for a product.
bool takes_next(const ops::Attention& op, const ops::MatMul& next, const BuildContext& context);

struct AttentionMatMul {
  Kernels attention;
  Kernels next;  ///< of the MatMul
};
AttentionMatMul build_around(const AroundAttention& around, const ops::Attention& op,
                             const BuildContext& context);

}  // namespace ingot::internal::cpu
