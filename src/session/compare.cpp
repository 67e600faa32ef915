#include <algorithm>
#include <cmath>

#include "ingot/diff.hpp"
#include "ingot/error.hpp"
#include "src/device/error_bound.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

namespace {

// Loads the model so that all tokens go through one device step with all logits.
std::shared_ptr<const Executable> load_for(std::shared_ptr<const Model> model, LoadOptions options,
                                           std::int64_t tokens) {
  options.run.context = std::max(options.run.context, tokens);
  options.max_step_tokens = tokens;
  auto executable = Executable::load(std::move(model), options);
  if (executable->internals().limits().heads < tokens) {
    fail(ErrorCode::invalid_argument, "comparing ", tokens, " tokens at once; at most ",
         executable->internals().limits().heads, " are possible with this vocabulary");
  }
  return executable;
}

void run(const std::shared_ptr<const Executable>& executable, std::span<const TokenId> tokens,
         Tap tap) {
  Session session(executable);
  session.set_tap(std::move(tap));
  const SequenceId sequence = session.open();
  session.step({{sequence, tokens, Outputs::all()}});
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

double length(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

// Which value a tap event is about: values are assigned once, so the order of writing identifies
// them.
std::vector<ValueId> writing_order(const Program& program) {
  std::vector<ValueId> order;
  for (const Instruction& instruction : program.instructions) {
    for (const ValueId id : operands(instruction).writes) order.push_back(id);
  }
  return order;
}

}  // namespace

std::vector<ValueDifference> compare_devices(std::shared_ptr<const Model> model,
                                             std::span<const TokenId> tokens, const LoadOptions& a,
                                             const LoadOptions& b) {
  if (tokens.empty()) fail(ErrorCode::invalid_argument, "there are no tokens to compare with");
  if (!(a.cache == b.cache)) {
    fail(ErrorCode::invalid_argument, "both devices must use the same cache types");
  }
  const auto count = static_cast<std::int64_t>(tokens.size());
  const auto first = load_for(model, a, count);
  const Program& program = first->internals().program();
  const std::vector<ValueId> order = writing_order(program);

  std::vector<RecordedValue> recorded(program.values.size());
  std::size_t next = 0;
  run(first, tokens, [&](const TapEvent& event) {
    recorded[static_cast<std::size_t>(order[next++].index)] = {
        event.rows, event.columns, {event.data.begin(), event.data.end()}};
  });

  const ErrorBound bounds(program, *first->internals().weights, recorded);
  std::vector<ValueDifference> differences;
  next = 0;
  run(load_for(model, b, count), tokens, [&](const TapEvent& event) {
    const ValueId id = order[next++];
    const RecordedValue& other = recorded[static_cast<std::size_t>(id.index)];
    const Instruction& instruction =
        program.instructions[static_cast<std::size_t>(event.instruction)];
    const std::vector<double> row_bounds = bounds.rows(instruction, id);
    ValueDifference difference;
    difference.instruction = event.instruction;
    difference.operation = std::string(name_of(instruction));
    difference.value = std::string(event.name);
    double worst = -1;
    for (std::int64_t r = 0; r < event.rows; ++r) {
      const auto row = event.data.subspan(static_cast<std::size_t>(r * event.columns),
                                          static_cast<std::size_t>(event.columns));
      const double scale = std::max(length(row), 1e-30);
      ValueDifference here = difference;
      here.worst_row = r;
      here.error = distance(other.row(r), row) / scale;
      here.bound = row_bounds[static_cast<std::size_t>(r)] / scale;
      const double ratio = std::isnan(here.error) ? 1e301 : here.ratio();
      if (ratio > worst) {
        worst = ratio;
        difference = here;
      }
    }
    differences.push_back(std::move(difference));
    std::copy(other.data.begin(), other.data.end(), event.data.begin());
  });
  return differences;
}

}  // namespace ingot
