#include "src/ops/expert_matmul.hpp"
#include "src/ops/matmul.hpp"
#include "src/ops/support.hpp"

namespace ingot::internal::ops {

void reference(const ExpertMatMul& op, ReferenceStep& step) {
  const Matrix in = step.value(op.in);
  const IndexMatrix tokens = step.indices(op.routing.tokens);
  const IndexMatrix offsets = step.indices(op.routing.offsets);
  const bool per_token = is_per_token(op, step.program());
  std::vector<double> gathered;
  for (std::int64_t e = 0; e + 1 < offsets.columns; ++e) {
    const Range rows = expert_rows(offsets.data, e, tokens.rows);
    if (rows.size() == 0) continue;
    gathered.clear();
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const auto row = in.row(per_token ? safe_index(tokens.data[r], in.rows) : r);
      gathered.insert(gathered.end(), row.begin(), row.end());
    }
    for (const ExpertMatMul::Part& part : op.parts) {
      const Matrix out = step.value(part.out);
      multiply(step, part.weight, e, part.bias, e, {gathered.data(), rows.size(), in.columns},
               {out.row(rows.begin).data(), rows.size(), out.columns});
    }
  }
}

}  // namespace ingot::internal::ops
