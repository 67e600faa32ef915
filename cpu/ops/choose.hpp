// Which way an operation is computed: all that decides by the number of rows, the format, the
// target and what the user asked for. Kernels do what they were told.
#pragma once

#include <cstdint>

#include "cpu/ops/attention.hpp"
#include "cpu/ops/product.hpp"
#include "ingot/device.hpp"

namespace ingot::internal::cpu {

/// What the user asked for (CompileOptions).
struct Numerics {
  Precision precision = Precision::fast;
  bool deterministic = false;
};

/// The paths of products with weights of one format, by the number of rows multiplied together.
struct ProductPaths {
  const Path* few = &paths::floats;   ///< up to kFewRows rows
  const Path* many = &paths::floats;  ///< more

  const Path& of(std::int64_t rows) const { return rows <= kFewRows ? *few : *many; }
  /// Whether any number of rows is multiplied in this form.
  bool has(const Form& form) const { return few->form == &form || many->form == &form; }
  /// Floats that a worker needs for a task, whatever the number of rows.
  std::int64_t work_floats() const { return std::max(few->work_floats, many->work_floats); }
  bool operator==(const ProductPaths&) const = default;
};
ProductPaths choose_product(const KernelTable& table, const Numerics& numerics,
                            const FormatKernels& format);

/// How queries read the cache.
class AttentionPaths {
 public:
  AttentionPaths(const KernelTable& table, const Numerics& numerics)
      : table_(&table), numerics_(numerics) {}

  /// Tasks that each row's part of the cache is cut into, given the positions of the longest
  /// sequence: 1 where there are rows enough to share among the threads.
  std::int64_t splits(std::int64_t rows, std::int64_t positions) const;

  /// Whether tasks that have all of a row's positions take them by kSplitTokens as well, and splits
  /// become one in index order.
  bool always_splits() const { return numerics_.deterministic; }

  /// Sets which of the task's rows run on tiles, and how the others read the cache.
  void choose(Attend& task) const;

 private:
  const KernelTable* table_;
  Numerics numerics_;
};

/// Whether prompts of a LatentAttention whose weight has this format may be expanded
/// (latent_expanded.hpp).
bool may_expand(const KernelTable& table, const Numerics& numerics, const FormatKernels& format);

}  // namespace ingot::internal::cpu
