// How a step fills its StepResult.
#pragma once

#include <span>

#include "ingot/outputs.hpp"
#include "src/device/device.hpp"

namespace ingot {

struct StepResult::Access {
  /// No rows; the memory stays.
  static void clear(StepResult& result);

  /// The first row of one more request.
  static void add_request(StepResult& result, std::int64_t first_row) {
    result.first_rows_.push_back(first_row);
  }

  /// Makes room for rows in this order.
  static void add_rows(StepResult& result, const internal::Program& program,
                       std::span<const RowOutput> outputs);

  /// Copies what the device gave for a row.
  static void set_row(StepResult& result, std::int64_t index, const internal::RowResult& from);
};

}  // namespace ingot
