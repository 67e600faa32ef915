#include "bench/profile.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "support/load_options.hpp"

namespace ingot::tools {
namespace {

using Clock = std::chrono::steady_clock;

/// Adds `part` to a list joined by `separator`, unless it is there.
void join_once(std::string& list, const std::string& part, const std::string& separator) {
  if ((separator + list + separator).find(separator + part + separator) != std::string::npos) {
    return;
  }
  list += (list.empty() ? "" : separator) + part;
}

/// Gives the time between two events to the instructions between them.
class Collector {
 public:
  void begin(std::vector<InstructionCost> costs) {
    costs_ = std::move(costs);
    next_ = 0;
    last_ = Clock::now();
  }

  void event(int instruction) {
    const auto index = static_cast<std::size_t>(instruction);
    row_ = &row(next_, index);
    ++row_->count;
    next_ = index + 1;
    add_time();
  }

  void end() {
    row_ = &rows_[{"end of step", ""}];
    row_->operation = "end of step";
    ++row_->count;
    add_time();
  }

  std::vector<ProfileRow> rows() const {
    std::vector<ProfileRow> list;
    for (const auto& [key, row] : rows_) list.push_back(row);
    return list;
  }

 private:
  /// The row of instructions first to last, with their cost added.
  ProfileRow& row(std::size_t first, std::size_t last) {
    std::string operation = first == 0 ? "begin of step" : "";
    std::string formats;
    double bytes = 0;
    double flops = 0;
    for (std::size_t i = first; i <= last && i < costs_.size(); ++i) {
      const InstructionCost& cost = costs_[i];
      join_once(operation, cost.operation, "+");
      for (const DType type : cost.formats) join_once(formats, option_name(type), ",");
      bytes += cost.weight_bytes + cost.state_bytes;
      flops += cost.flops;
    }
    ProfileRow& found = rows_[{operation, formats}];
    found.operation = operation;
    found.formats = formats;
    found.bytes += bytes;
    found.flops += flops;
    return found;
  }

  void add_time() {
    const auto now = Clock::now();
    row_->seconds += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

  std::vector<InstructionCost> costs_;
  std::map<std::pair<std::string, std::string>, ProfileRow> rows_;
  ProfileRow* row_ = nullptr;
  std::size_t next_ = 0;  ///< first instruction that has not ended in this step
  Clock::time_point last_{};
};

}  // namespace

Profile profile(BenchSession& session, const BenchTest& test, const Limits& limits) {
  session.go_to(test.depth, std::min(test.batch, test.ubatch));
  Profile result;
  result.bandwidth = limits.read_bandwidth();
  result.peak = limits.multiply_add_peak();
  Collector collector;
  session.session().set_tap([&](const TapEvent& event) { collector.event(event.instruction); },
                            {.detail = TapDetail::as_run});
  try {
    for (const StepOutline& step : test.steps()) {
      collector.begin(step_cost(session.executable(), step));
      session.step(step);
      collector.end();
    }
  } catch (...) {
    session.session().set_tap({});
    throw;
  }
  session.session().set_tap({});

  result.rows = collector.rows();
  for (const ProfileRow& row : result.rows) result.seconds += row.seconds;
  for (ProfileRow& row : result.rows) {
    row.share_of_time = row.seconds / result.seconds;
    const double least = std::max(row.bytes / result.bandwidth, row.flops / result.peak);
    row.share_of_limit = row.seconds > 0 ? least / row.seconds : 0;
  }
  std::sort(result.rows.begin(), result.rows.end(),
            [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
  return result;
}

}  // namespace ingot::tools
