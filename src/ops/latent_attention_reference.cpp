#include <Eigen/Core>
#include <algorithm>

#include "src/ops/latent_attention.hpp"
#include "src/ops/support.hpp"

namespace ingot::internal::ops {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// One head's weight, decoded, the right way round.
RowMajor decoded(const ReferenceStep& step, const HeadWeight& head) {
  RowMajor matrix(head.weight.rows.size(), head.weight.columns.size());
  for (std::int64_t r = 0; r < matrix.rows(); ++r) {
    const std::vector<float> row = step.weight_row(head.weight, r);
    std::copy(row.begin(), row.end(), matrix.data() + r * matrix.cols());
  }
  if (head.transposed) return matrix.transpose();
  return matrix;
}

// All stored rows of one sequence, decoded: [positions, latent + turned].
RowMajor gather(const std::int32_t* page_table, const StepSequence& sequence,
                const StateRows& pages) {
  const std::int64_t positions = sequence.cached + sequence.row_count;
  RowMajor rows(positions, pages.size);
  std::vector<float> row(static_cast<std::size_t>(pages.size));
  for (std::int64_t p = 0; p < positions; ++p) {
    decode_state_row(pages.type, pages.row(page_table[p / kPageTokens], 0, p % kPageTokens), row);
    std::copy(row.begin(), row.end(), rows.data() + p * pages.size);
  }
  return rows;
}

// rows * weight^T.
RowMajor product(const ReferenceStep& step, const RowMajor& rows, const RowMajor& weight) {
  if (!step.by_row()) return rows * weight.transpose();
  RowMajor out(rows.rows(), weight.rows());
  for (Eigen::Index r = 0; r < rows.rows(); ++r) {
    out.row(r).noalias() = rows.row(r) * weight.transpose();
  }
  return out;
}

}  // namespace

void reference(const LatentAttention& op, ReferenceStep& step) {
  const StateRows& pages = step.states().keys(op.state);
  const std::int64_t latent = step.states().values(op.state).size;
  const std::int64_t query_size = op.plain_size + op.turned_size;
  const Matrix query = step.value(op.query);
  const Matrix out = step.value(op.out);
  const std::int32_t group = step.program().state(op.state).group;
  for (const StepSequence& sequence : step.input().sequences) {
    const RowMajor rows = gather(step.input().pages(sequence, group), sequence, pages);
    const RowMajor latents = rows.leftCols(latent);
    for (std::int64_t head = 0; head < op.head_count; ++head) {
      RowMajor keys(rows.rows(), query_size);
      keys.leftCols(op.plain_size) = product(step, latents, decoded(step, key_weight(op, head)));
      keys.rightCols(op.turned_size) = rows.rightCols(op.turned_size);
      const RowMajor values = product(step, latents, decoded(step, value_weight(op, head)));
      for (std::int64_t r = 0; r < sequence.row_count; ++r) {
        const std::int64_t row = sequence.first_row + r;
        const std::int64_t visible = sequence.cached + r + 1;
        const Eigen::Map<const Eigen::VectorXd> q(query.row(row).data() + head * query_size,
                                                  query_size);
        Eigen::VectorXd weights = op.scale * (keys.topRows(visible) * q);
        weights = (weights.array() - weights.maxCoeff()).exp();
        Eigen::Map<Eigen::RowVectorXd>(out.row(row).data() + head * op.value_size, op.value_size) =
            weights.transpose() * values.topRows(visible) / weights.sum();
      }
    }
  }
}

}  // namespace ingot::internal::ops
