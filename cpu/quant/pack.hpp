// The weights of a program in a target's order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/dispatch/kernel_table.hpp"
#include "ingot/device.hpp"
#include "src/device/device.hpp"

namespace ingot::cpu {

class PackedWeights {
 public:
  /// Packs every tensor that the target wants in another order; the others stay in the file, which
  /// `weights` keeps mapped. Error out_of_memory when a copy does not fit.
  PackedWeights(const Program& program, std::shared_ptr<const Weights> weights,
                const KernelTable& table, const Progress& progress);

  /// The tensor's first row; rows follow each other at row_bytes(type, columns).
  const std::byte* data(TensorId id) const { return data_[static_cast<std::size_t>(id.index)]; }

  const PackReport& report() const { return report_; }

 private:
  std::shared_ptr<const Weights> weights_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;
  std::vector<const std::byte*> data_;
  PackReport report_;
};

}  // namespace ingot::cpu
