// The results of a step from its logits and hidden rows in host memory: what a device leaves to the
// host.
#pragma once

#include <span>
#include <vector>

#include "src/device/device.hpp"

namespace ingot::internal {

class HostRowResults {
 public:
  /// `hidden`: [outputs, hidden size], read for outputs that want it; `logits`: [heads,
  /// vocabulary], of the first of `outputs`. Both stay in use by the view. Ids from
  /// program.token_count on have no token: they are no candidates and in no sum.
  void make(const Program& program, std::span<const RowOutput> outputs, const float* hidden,
            const float* logits);

  const StepResultView& view() const { return view_; }

 private:
  StepResultView view_;
  std::vector<Candidate> candidates_;
};

}  // namespace ingot::internal
