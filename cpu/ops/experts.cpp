#include "cpu/ops/experts.hpp"

namespace ingot::internal::cpu {

Experts::Experts(const ops::ExpertMatMul& op, const BuildContext& context)
    : table(&context.table),
      in(op.in),
      tokens(op.routing.tokens),
      offsets(op.routing.offsets),
      rows(context.program.value(op.in).rows),
      assignments(context.program.value(op.routing.tokens).rows),
      columns(context.program.value(op.in).columns),
      count(context.program.value(op.routing.offsets).columns - 1),
      used(context.program.experts_used) {
  for (const ops::ExpertMatMul::Part& given : op.parts) {
    ExpertPart part;
    part.weight = context.rows(given.weight);
    part.paths = context.paths(*part.weight.format);
    part.expert_bytes = context.program.tensor(given.weight.tensor).rows * part.weight.row_bytes;
    part.bias = context.vector(given.bias);
    part.out = given.out;
    // Whole stripes of tiles, for experts of few rows and of many alike: half a stripe would be
    // multiplied at half the speed.
    const std::int64_t stream = 2 * paths::integers.task_shape(part.weight).weight_rows;
    part.slice = std::clamp(stream / kStripeRows * kStripeRows, kStripeRows, kTileWeightRows);
    if (part.paths.few->form != &forms::plain) few = part.paths.few->form;
    if (part.paths.many->form != &forms::plain) many = part.paths.many->form;
    parts.push_back(part);
  }
}

std::int64_t Experts::find_touched(const StepContext& step, std::int64_t index) const {
  for (std::int64_t e = 0; e < count; ++e) {
    if (rows_of(step, e).size() > 0 && index-- == 0) return e;
  }
  return count;
}

ActivationRows Experts::activations(const StepContext& step, Range grouped) const {
  ActivationRows out;
  out.stride = columns;
  out.columns = columns;
  out.count = grouped.size();
  out.first = step.value(in);
  if (per_token()) {
    out.index = token_rows(step) + grouped.begin;
  } else {
    out.first += grouped.begin * columns;
  }
  return out;
}

ExpertLayout::ExpertLayout(const Experts& experts, std::int64_t rows, std::int64_t assignments)
    : columns(experts.columns), end(divide_up(assignments, 16) * 16) {
  const auto take = [this](std::int64_t floats) {
    const std::int64_t at = end;
    end += floats;
    return at;
  };
  integers = take(experts.few->floats(rows, columns));
  panels = experts.has_own_panels() ? take(experts.many->floats(rows, columns)) : integers;
  tiles = take(experts.many == &forms::tiles
                   ? tile_floats(assignments, std::min(experts.count, assignments))
                   : 0);
}

}  // namespace ingot::internal::cpu
