// What Norm does to a row, for the instruction alone and before a product (norm_matmul.hpp).
#pragma once

#include "cpu/ops/build.hpp"
#include "src/ops/norm.hpp"

namespace ingot::internal::cpu {

class NormRows {
 public:
  NormRows(const ops::Norm& op, const BuildContext& context);

  std::int64_t columns() const { return columns_; }

  /// `in` and `out`: [columns], all groups of a row.
  void run(const float* in, float* out) const noexcept;

 private:
  // From group to group: 0 if all groups share the vector.
  std::int64_t stride(const std::optional<WeightOperand>& vector) const;

  ops::Norm op_;
  void (*normalise_)(const NormGroup&);
  std::int64_t columns_;
  const float* weight_;
  const float* bias_;
  std::int64_t weight_stride_;
  std::int64_t bias_stride_;
};

}  // namespace ingot::internal::cpu
