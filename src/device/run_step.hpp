// A program compiled and stepped without a session: for tests and benchmarks of kernels.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "src/device/device.hpp"

namespace ingot::internal {

inline std::shared_ptr<const CompiledProgram> compile(const Device& device,
                                                      std::shared_ptr<const Program> program,
                                                      std::shared_ptr<const Weights> weights,
                                                      const CompileOptions& options = {}) {
  const Range all = all_instructions(*program);
  return device.lower(std::move(program), all, options)->compile(std::move(weights));
}

/// Runs a step that wants the logits of every output row; returns them, one row behind the other,
/// valid until the next step.
inline std::span<const float> run_step(Runner& runner, const StepInput& input, const Tap& tap = {},
                                       TapDetail detail = TapDetail::every_value) {
  std::vector<RowOutput> outputs;
  for (const std::int32_t row : input.output_rows) outputs.push_back({row, Want::logits, 0});
  const TapRequest request{tap ? &tap : nullptr, detail, {}};
  const auto& rows = runner.wait(runner.submit(input, outputs, request, Cancel::never()));
  if (rows.empty()) return {};
  return {rows.front().values.data(), rows.size() * rows.front().values.size()};
}

}  // namespace ingot::internal
