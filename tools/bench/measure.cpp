#include "bench/measure.hpp"

#include <algorithm>
#include <chrono>

#include "ingot/sampler/random.hpp"

namespace ingot::tools {
namespace {

using Clock = std::chrono::steady_clock;

/// Bytes read from memory when generating, flops when reading a prompt.
double work_of(const Executable& executable, const BenchTest& test) {
  double work = 0;
  for (const StepOutline& step : test.steps()) {
    for (const InstructionCost& cost : step_cost(executable, step)) {
      work += test.generate > 0 ? cost.weight_bytes + cost.state_bytes : cost.flops;
    }
  }
  return work;
}

}  // namespace

std::string BenchTest::name() const {
  std::string text = generate > 0 ? "tg" + std::to_string(generate) : "pp" + std::to_string(prompt);
  if (depth > 0) text += " @ d" + std::to_string(depth);
  return text;
}

std::vector<StepOutline> BenchTest::steps() const {
  const std::int64_t total = prompt + generate;
  const std::int64_t rows =
      generate > 0 ? 1 : std::max<std::int64_t>(1, std::min(batch, ubatch) / sequences);
  std::vector<StepOutline> steps;
  for (std::int64_t done = 0; done < total; done += rows) {
    StepOutline step;
    const std::int64_t count = std::min(rows, total - done);
    step.sequences.assign(static_cast<std::size_t>(sequences), {count, depth + done});
    // Of a prompt only the last token's logits are of use; of generated ones, all.
    step.outputs = generate > 0 || done + count == total ? sequences : 0;
    steps.push_back(std::move(step));
  }
  return steps;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double BenchResult::median_tokens_per_second() const {
  return median(tokens_per_second);
}
double BenchResult::spread() const {
  const auto [low, high] = std::minmax_element(tokens_per_second.begin(), tokens_per_second.end());
  return tokens_per_second.empty() ? 0 : *high - *low;
}
double BenchResult::rate() const {
  return work / median(seconds);
}
double BenchResult::limit() const {
  return median(limits);
}
double BenchResult::share() const {
  std::vector<double> shares;
  for (std::size_t i = 0; i < seconds.size(); ++i) shares.push_back(work / seconds[i] / limits[i]);
  return median(std::move(shares));
}
double BenchResult::limit_tokens_per_second() const {
  const double tokens = tokens_per_second.front() * seconds.front();
  return limit() / work * tokens;
}

BenchSession::BenchSession(std::shared_ptr<const Executable> executable, std::int64_t sequences,
                           const Interrupt& interrupt)
    : session_(std::move(executable)), interrupt_(interrupt) {
  const auto vocabulary =
      static_cast<std::uint32_t>(session_.executable().model()->spec().vocabulary_size);
  Pcg32 random(1);  // always the same text
  ids_.resize(static_cast<std::size_t>(sequences * session_.context()));
  for (TokenId& id : ids_) id = static_cast<TokenId>(random.next() % vocabulary);
  for (std::int64_t i = 0; i < sequences; ++i) sequences_.push_back(session_.open());
}

void BenchSession::go_to(std::int64_t depth, std::int64_t step_rows) {
  for (const SequenceId sequence : sequences_) session_.rewind(sequence, depth);
  const auto count = static_cast<std::int64_t>(sequences_.size());
  const std::int64_t rows = std::max<std::int64_t>(1, step_rows / count);
  while (session_.position(sequences_.front()) < depth) {
    const std::int64_t at = session_.position(sequences_.front());
    StepOutline step;
    step.sequences.assign(sequences_.size(), {std::min(rows, depth - at), at});
    this->step(step);
  }
}

void BenchSession::step(const StepOutline& outline) {
  std::vector<StepRequest> requests;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const std::int64_t first =
        static_cast<std::int64_t>(i) * session_.context() + session_.position(sequences_[i]);
    const auto ids = std::span<const TokenId>(ids_).subspan(
        static_cast<std::size_t>(first), static_cast<std::size_t>(outline.sequences[i].rows));
    requests.push_back(
        {sequences_[i], ids, outline.outputs > 0 ? Outputs::last() : Outputs::none()});
  }
  session_.step(requests, {.cancel = interrupt_.cancel()});
}

BenchResult measure(BenchSession& session, const BenchTest& test, int repetitions,
                    const Limits& limits, ProgressBar& bar) {
  const std::vector<StepOutline> steps = test.steps();
  const std::int64_t rows = std::min(test.batch, test.ubatch);
  BenchResult result;
  result.work = work_of(session.executable(), test);
  for (int i = -1; i < repetitions; ++i) {  // -1: warms caches, pages and clocks
    session.go_to(test.depth, rows);
    const bool counts = i >= 0;
    if (counts) {
      result.limits.push_back(test.generate > 0 ? limits.read_bandwidth()
                                                : limits.multiply_add_peak());
    }
    const auto start = Clock::now();
    for (const StepOutline& step : steps) session.step(step);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    bar.update(test.name(), static_cast<std::uint64_t>(i + 2),
               static_cast<std::uint64_t>(repetitions + 1));
    if (!counts) continue;
    result.seconds.push_back(seconds);
    result.tokens_per_second.push_back(static_cast<double>(test.tokens()) / seconds);
  }
  return result;
}

}  // namespace ingot::tools
