// The weights of a program in a target's order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cpu/dispatch/kernel_table.hpp"
#include "ingot/device.hpp"
#include "src/device/device.hpp"
#include "src/state/lazy_memory.hpp"

namespace ingot::internal::cpu {

/// Runs body(0) .. body(count - 1) on the executor's threads and returns when all are done.
using ParallelFor =
    std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& body)>;

/// Per tensor, how many of each expert's rows are interleaved: those of formats that have such an
/// order, where all uses can read it.
std::vector<std::int64_t> packed_rows(const Program& program, const KernelTable& table);

class PackedWeights {
 public:
  /// Interleaves the rows of every tensor whose format has such an order and whose uses can all
  /// read it, one tensor after the other: when a tensor is packed, its pages of the file are let
  /// go. The others stay in the file, which `weights` keeps mapped. Error out_of_memory when the
  /// copies do not fit. Whatever `progress` throws is thrown on.
  PackedWeights(const Program& program, std::shared_ptr<const Weights> weights,
                const KernelTable& table, const ParallelFor& parallel, const Progress& progress);

  /// The tensor's first row; rows follow each other at row_bytes(type, columns), in each expert the
  /// first packed_rows interleaved.
  const std::byte* data(TensorId id) const { return data_[static_cast<std::size_t>(id.index)]; }
  std::int64_t packed_rows(TensorId id) const {
    return packed_rows_[static_cast<std::size_t>(id.index)];
  }

  const PackReport& report() const { return report_; }

 private:
  std::shared_ptr<const Weights> weights_;
  LazyMemory copies_;
  std::vector<const std::byte*> data_;
  std::vector<std::int64_t> packed_rows_;
  PackReport report_;
};

}  // namespace ingot::internal::cpu
