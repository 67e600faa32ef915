#include "src/session/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ingot/border.hpp"
#include "ingot/diff.hpp"
#include "ingot/error.hpp"
#include "src/device/error_bound.hpp"
#include "src/session/loaded.hpp"

namespace ingot::internal {
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
  session.set_tap(std::move(tap), {.detail = TapDetail::every_value_rounded});
  const SequenceId sequence = session.open();
  session.step({{sequence, tokens, Outputs::all()}});
}

RecordedValue record(const TapEvent& event) {
  return {event.rows,
          event.columns,
          {event.data.begin(), event.data.end()},
          {event.indices.begin(), event.indices.end()}};
}

// Where neither is a number nothing differs: both left the range of f32.
double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) && !std::isfinite(b[i])) continue;
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::isnan(sum) ? std::numeric_limits<double>::infinity() : std::sqrt(sum);
}

double length(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) {
    if (std::isfinite(x)) sum += static_cast<double>(x) * static_cast<double>(x);
  }
  return std::sqrt(sum);
}

// What bounds take for a value of which there are two: B's, or A's where B's is no number.
RecordedValue finite(const RecordedValue& a, RecordedValue b) {
  for (std::size_t i = 0; i < b.data.size(); ++i) {
    if (!std::isfinite(b.data[i])) b.data[i] = std::isfinite(a.data[i]) ? a.data[i] : 0.0F;
  }
  return b;
}

ValueDifference compare_row(const RecordedValue& a, const RecordedValue& b, std::int64_t row,
                            double bound) {
  ValueDifference out;
  out.worst_row = row;
  if (!b.indices.empty()) {
    const auto left = a.index_row(row);
    const auto right = b.index_row(row);
    for (std::size_t i = 0; i < left.size(); ++i) out.error += left[i] != right[i] ? 1 : 0;
    return out;
  }
  const double size = length(b.row(row));
  const double scale = size > 0 ? size : 1.0;
  out.error = distance(a.row(row), b.row(row)) / scale;
  out.bound = std::isnan(bound) ? std::numeric_limits<double>::infinity() : bound / scale;
  return out;
}

// Of the device that runs an instruction.
const ErrorModel& error_model(const Executable::Impl& loaded, int instruction) {
  for (const Placed& part : loaded.lowered.parts) {
    if (instruction >= part.instructions.begin && instruction < part.instructions.end) {
      return part.lowered->error_model();
    }
  }
  fail(ErrorCode::internal, "no device runs instruction ", instruction);
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

std::vector<ValueDifference> compare(const std::shared_ptr<const Executable>& a,
                                     const std::shared_ptr<const Executable>& b,
                                     std::span<const TokenId> tokens) {
  const Executable::Impl& loaded = b->internals();
  const Program& program = loaded.program();
  const std::vector<ValueId> order = writing_order(program);
  std::vector<RecordedValue> values(program.values.size());
  const auto value_of = [&](ValueId id) -> RecordedValue& {
    return values[static_cast<std::size_t>(id.index)];
  };
  std::size_t next = 0;
  run(a, tokens, [&](const TapEvent& event) { value_of(order[next++]) = record(event); });

  const RecordedStep step{program, *loaded.weights, values, loaded.plan().cache};
  std::vector<ValueDifference> differences;
  next = 0;
  run(b, tokens, [&](const TapEvent& event) {
    const ValueId id = order[next++];
    const Instruction& instruction =
        program.instructions[static_cast<std::size_t>(event.instruction)];
    const RecordedValue theirs = record(event);
    const RecordedValue ours = std::exchange(value_of(id), finite(value_of(id), theirs));
    const auto bounds = [&](const Executable::Impl& executable) {
      return ErrorBound(step, error_model(executable, event.instruction)).rows(instruction, id);
    };
    const std::vector<double> of_a = bounds(a->internals());
    const std::vector<double> of_b = bounds(loaded);
    ValueDifference worst;
    for (std::int64_t r = 0; r < event.rows; ++r) {
      const auto at = static_cast<std::size_t>(r);
      const ValueDifference here = compare_row(ours, theirs, r, of_a[at] + of_b[at]);
      if (r == 0 || here.ratio() > worst.ratio()) worst = here;
    }
    worst.instruction = event.instruction;
    worst.operation = std::string(name_of(instruction));
    worst.value = std::string(event.name);
    worst.is_index = event.type == ValueType::i32;
    differences.push_back(std::move(worst));
    std::copy(ours.data.begin(), ours.data.end(), event.data.begin());
    std::copy(ours.indices.begin(), ours.indices.end(), event.indices.begin());
    value_of(id) = ours;
  });
  return differences;
}

}  // namespace ingot::internal

namespace ingot {

std::vector<ValueDifference> compare_devices(std::shared_ptr<const Model> model,
                                             std::span<const TokenId> tokens, const LoadOptions& a,
                                             const LoadOptions& b) try {
  detail::required(model.get(), "compare_devices", "a model");
  if (tokens.empty()) fail(ErrorCode::invalid_argument, "there are no tokens to compare with");
  if (!(a.cache == b.cache)) {
    fail(ErrorCode::invalid_argument, "both devices must use the same cache types");
  }
  const auto count = static_cast<std::int64_t>(tokens.size());
  const auto first = internal::load_for(model, a, count);
  return internal::compare(first, internal::load_for(std::move(model), b, count), tokens);
} catch (...) {
  detail::rethrow_at_border("compare_devices");
}

}  // namespace ingot
