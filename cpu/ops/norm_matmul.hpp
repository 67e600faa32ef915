// Norm, and the Add before it, as one with the preparation of the product behind: a row goes from
// the residual stream to what the product multiplies without leaving the cache.
#pragma once

#include <memory>
#include <optional>

#include "cpu/ops/matmul_kernels.hpp"
#include "src/ops/add.hpp"
#include "src/ops/norm.hpp"

namespace ingot::internal::cpu {

/// The instructions before a MatMul that its preparation takes over. Nobody else reads what the
/// Norm writes; what the Add writes is kept.
struct BeforeMatMul {
  std::optional<ops::Add> add;
  std::optional<ops::Norm> norm;  ///< none: there is no Add either

  std::size_t instructions() const {
    return static_cast<std::size_t>(add.has_value()) + static_cast<std::size_t>(norm.has_value());
  }
};

/// Whether a product can do without the matrix that it multiplies: all its weights want it
/// prepared, whatever the number of rows.
bool takes_prepared(const ops::MatMul& op, const BuildContext& context);

/// What prepares the input of a product, in the place of `before` too.
std::shared_ptr<const Kernel> build_prepare(const BeforeMatMul& before,
                                            std::shared_ptr<const MatMulData> data,
                                            const BuildContext& context);

/// The kernels of MatMul behind `before`.
Kernels build_behind(const BeforeMatMul& before, const ops::MatMul& op,
                     const BuildContext& context);

}  // namespace ingot::internal::cpu
