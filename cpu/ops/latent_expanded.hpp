// LatentAttention, expanded: for prompts on matrix units. Every position's keys and values of all
// heads are made from its latent, then each head attends as in any other model: scores and sums
// over plain + turned + value columns instead of twice the latent's, 320 instead of 1,088 in
// DeepSeek-V2-Lite. A step pays for it with products over all positions it sees, not only its own.
#pragma once

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {

/// Whether and how a LatentAttention can be expanded.
class Expansion {
 public:
  Expansion(const ops::LatentAttention& op, const BuildContext& context);

  /// Whether any step can be.
  bool exists() const noexcept { return capacity_ > 0; }

  /// Whether this step should be: products take tiles, keys and values have room, and attention
  /// saves more than the cached positions cost.
  bool suits(const StepContext& step) const noexcept;

  /// What steps that it suits run.
  Kernels kernels() const;

  // ---- for the kernels

  struct Heads {
    std::vector<WeightRows> keys;    ///< [head] of plain_size rows
    std::vector<WeightRows> values;  ///< [head] of value_size rows
  };

  /// Where the shared work space holds what, in floats; positions of a sequence begin on a page.
  struct Layout {
    Layout(const Expansion& expansion, std::int64_t positions);
    std::int64_t positions;
    std::int64_t turned;  ///< f16 [position][turned], behind the latents in tiles
    std::int64_t keys;    ///< f16 [head][position][plain, turned]
    std::int64_t values;  ///< f16 [head][position][value]
    std::int64_t end;
  };
  Layout layout(const StepContext& step) const noexcept;
  Layout largest_layout(const StepLimits& limits) const noexcept;

  std::int64_t key_size() const noexcept { return op.plain_size + op.turned_size; }

  ops::LatentAttention op;
  const KernelTable& table;
  std::int32_t group = 0;  ///< of the state
  std::int64_t latent = 0;
  std::shared_ptr<const Heads> heads;
  /// Page numbers 0, 1, ...: keys and values lie in order.
  std::shared_ptr<const std::vector<std::int32_t>> pages;

 private:
  std::int64_t context_;
  std::int64_t capacity_ = 0;  ///< positions
};

}  // namespace ingot::internal::cpu
