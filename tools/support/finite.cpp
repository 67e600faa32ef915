#include "support/finite.hpp"

#include <algorithm>
#include <cmath>

#include "ingot/error.hpp"

namespace ingot::tools {

void require_finite(std::span<const float> logits, std::size_t position, const std::string& model) {
  const auto found =
      std::find_if(logits.begin(), logits.end(), [](float logit) { return !std::isfinite(logit); });
  if (found == logits.end()) return;
  const char* what = std::isnan(*found) ? "NaN" : *found > 0 ? "infinity" : "-infinity";
  fail(ErrorCode::bad_file, "'", model, "' gives ", what, " at position ", position,
       " as the logit of token ", found - logits.begin(), " (",
       std::count_if(found, logits.end(), [](float logit) { return !std::isfinite(logit); }),
       " of the row's ", logits.size(),
       " are not finite); its weights are damaged, or a computation overflowed: ingot quantize "
       "names a damaged tensor, --device reference computes in double precision");
}

}  // namespace ingot::tools
