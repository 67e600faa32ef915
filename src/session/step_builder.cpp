#include "src/session/step_builder.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/state/paged_states.hpp"

namespace ingot::internal {
namespace {

// cos and sin in double: the library function reduces the argument exactly, so position 100,000 is
// as accurate as position 1.
std::vector<float> angles(const RopeTable& table, std::span<const std::int64_t> positions) {
  std::vector<float> out;
  out.reserve(positions.size() * table.inverse_frequencies.size() * 2);
  for (const std::int64_t position : positions) {
    for (const double frequency : table.inverse_frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      out.push_back(static_cast<float>(table.magnitude * std::cos(angle)));
      out.push_back(static_cast<float>(table.magnitude * std::sin(angle)));
    }
  }
  return out;
}

}  // namespace

void StepBuilder::add(std::span<const std::int32_t> ids, const GroupedStates& states,
                      std::int32_t number) {
  const std::int64_t cached = states.position(number);
  StepSequence sequence;
  sequence.first_row = static_cast<std::int32_t>(input_.ids.size());
  sequence.row_count = static_cast<std::int32_t>(ids.size());
  sequence.cached = cached;
  sequence.page_table_offset = static_cast<std::int32_t>(page_tables_.front().size());
  sequence.page_count =
      static_cast<std::int32_t>(pages_for(cached + static_cast<std::int64_t>(ids.size())));
  input_.sequences.push_back(sequence);
  for (std::int32_t g = 0; g < states.group_count(); ++g) {
    // Every group holds the same positions, so all tables have as many entries; a recurrent state
    // needs but the first of them.
    const auto pages = states.group(g).pages(number);
    const auto count = std::min<std::ptrdiff_t>(sequence.page_count, std::ssize(pages));
    auto& table = page_tables_[static_cast<std::size_t>(g)];
    table.insert(table.end(), pages.begin(), pages.begin() + count);
    table.insert(table.end(), static_cast<std::size_t>(sequence.page_count - count), kNoPage);
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    input_.ids.push_back(ids[i]);
    input_.positions.push_back(cached + static_cast<std::int64_t>(i));
  }
}

StepInput StepBuilder::finish() {
  input_.experts_used = program_.experts_used;
  input_.page_table_stride = static_cast<std::int64_t>(page_tables_.front().size());
  for (auto& table : page_tables_) {
    input_.page_table.insert(input_.page_table.end(), table.begin(), table.end());
    table.clear();
  }
  for (const RopeTable& table : program_.rope_tables) {
    input_.rope.push_back(angles(table, input_.positions));
  }
  return std::exchange(input_, {});
}

}  // namespace ingot::internal
