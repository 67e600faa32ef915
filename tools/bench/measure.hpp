// One benchmark test: what is stepped, how often, how long it took, and what the machine could do
// at that moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/limits.hpp"
#include "ingot/cost.hpp"
#include "ingot/session.hpp"
#include "support/interrupt.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {

/// A test in llama-bench's terms; either prompt or generate is 0.
struct BenchTest {
  std::int64_t prompt = 0;    ///< tokens per sequence, read in steps of `batch`
  std::int64_t generate = 0;  ///< tokens per sequence, one per step
  std::int64_t depth = 0;     ///< tokens each sequence has before
  std::int64_t batch = 2048;  ///< most rows handed over at once, all sequences together
  std::int64_t ubatch = 512;  ///< most rows computed at once
  std::int64_t sequences = 1;

  /// As llama-bench names it: "pp512", "tg128 @ d4096".
  std::string name() const;
  /// Tokens per repetition, all sequences together.
  std::int64_t tokens() const { return (prompt + generate) * sequences; }
  /// Positions each sequence needs.
  std::int64_t context() const { return depth + prompt + generate; }
  /// The steps of one repetition, in order. Each runs as one.
  std::vector<StepOutline> steps() const;
};

/// What repetitions of a test took. Rates are bytes/s read (weights and cache) when tokens are
/// generated, flop/s when a prompt is read.
struct BenchResult {
  std::vector<double> seconds;            ///< per repetition
  std::vector<double> limits;             ///< measured just before each, bytes/s or flop/s
  std::vector<double> tokens_per_second;  ///< per repetition
  double work = 0;                        ///< bytes or flops of one repetition

  double median_tokens_per_second() const;
  double spread() const;  ///< largest minus smallest tokens/s
  double rate() const;    ///< work / median seconds
  double limit() const;   ///< median
  double share() const;   ///< median of work / seconds / limit, each with its own limit
  /// Tokens per second at which the limit would be reached.
  double limit_tokens_per_second() const;
};

double median(std::vector<double> values);

/// A session with sequences of random tokens, ready to be stepped from any depth.
class BenchSession {
 public:
  BenchSession(std::shared_ptr<const Executable> executable, std::int64_t sequences,
               const Interrupt& interrupt);

  /// Brings every sequence to `depth`, forgetting or computing tokens.
  void go_to(std::int64_t depth, std::int64_t step_rows);
  /// Appends what the outline says to each sequence.
  void step(const StepOutline& outline);

  Session& session() { return session_; }
  const Executable& executable() const { return session_.executable(); }

 private:
  Session session_;
  const Interrupt& interrupt_;
  std::vector<SequenceId> sequences_;
  std::vector<TokenId> ids_;  ///< [sequences, context]
};

/// Runs a test: one repetition uncounted, then `repetitions`, each behind a measurement of its
/// limit.
BenchResult measure(BenchSession& session, const BenchTest& test, int repetitions,
                    const Limits& limits, ProgressBar& bar);

}  // namespace ingot::tools
