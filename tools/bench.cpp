// ingot bench: tokens per second of prompts and generation, beside what the machine could do.
//
// Every repetition is preceded by a measurement of its limit on the same threads: for generated
// tokens the bandwidth of reading a buffer of the weights' size (each step reads the weights once
// and the cache of its sequences), for a prompt the multiply-add peak of the units that the
// device's kernels use: AMX tiles in bf16, else f32 vectors.
#include <algorithm>
#include <memory>

#include "bench/arguments.hpp"
#include "bench/limits.hpp"
#include "bench/measure.hpp"
#include "bench/report.hpp"
#include "commands.hpp"
#include "support/interrupt.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 30;
constexpr std::int64_t kMostRows = 65536;

/// What takes an executable of its own, and the tests that run on it.
struct BenchGroup {
  int threads = 0;
  std::int64_t ubatch = 0;
  std::int64_t sequences = 0;
  std::vector<BenchTest> tests;

  std::int64_t context() const {
    std::int64_t most = 0;
    for (const BenchTest& test : tests) most = std::max(most, test.context());
    return most;
  }
};

std::vector<BenchGroup> groups(const BenchArguments& arguments) {
  const auto prompts = numbers(arguments.prompt, "--n-prompt", 512, 0, kMostTokens);
  const auto generates = numbers(arguments.generate, "--n-gen", 128, 0, kMostTokens);
  const auto depths = numbers(arguments.depth, "--n-depth", 0, 0, kMostTokens);
  const auto batches = numbers(arguments.batch, "--batch-size", 2048, 1, kMostTokens);
  const auto ubatches = numbers(arguments.ubatch, "--ubatch-size", 512, 1, kMostRows);
  const auto sequence_counts = numbers(arguments.sequences, "--sequences", 1, 1, kMostRows);
  const auto threads = numbers(arguments.threads, "--threads", 0, 0, 4096);
  std::vector<BenchGroup> all;
  for (const std::int64_t thread_count : threads) {
    for (const std::int64_t ubatch : ubatches) {
      for (const std::int64_t sequences : sequence_counts) {
        BenchGroup group{static_cast<int>(thread_count), ubatch, sequences, {}};
        for (const std::int64_t batch : batches) {
          if (sequences > std::min(batch, ubatch)) {
            throw UsageError("--sequences " + std::to_string(sequences) +
                             " need a -b and -ub of at least as much: a step has a row of each");
          }
          for (const std::int64_t depth : depths) {
            for (const std::int64_t prompt : prompts) {
              if (prompt > 0) {
                group.tests.push_back({prompt, 0, depth, batch, ubatch, sequences});
              }
            }
            // One token per step: the batch size makes no difference.
            if (batch != batches.front()) continue;
            for (const std::int64_t generate : generates) {
              if (generate > 0) {
                group.tests.push_back({0, generate, depth, batch, ubatch, sequences});
              }
            }
          }
        }
        if (!group.tests.empty()) all.push_back(std::move(group));
      }
    }
  }
  if (all.empty()) throw UsageError("nothing to do: -p and -n are both 0");
  return all;
}

void run_group(const BenchGroup& group, const BenchArguments& arguments,
               const std::shared_ptr<const Model>& model, const Interrupt& interrupt,
               std::vector<BenchRow>& rows) {
  LoadOptions options = arguments.load;
  apply(arguments.rope, *model, options.run);
  options.run.context = group.context();
  options.max_sequences = group.sequences;
  options.max_step_tokens = group.ubatch;
  options.compile.threads = group.threads;
  const auto executable = load(model, options, interrupt);
  const DeviceInfo& device = executable->device();
  const int threads = device.name == "reference" ? 1
                      : group.threads > 0        ? group.threads
                                                 : device.threads;
  BenchSession session(executable, group.sequences, interrupt);
  const Limits limits(threads, executable->plan().weights_bytes, device);
  ProgressBar bar;
  for (const BenchTest& test : group.tests) {
    BenchRow row;
    row.test = test;
    row.executable = executable;
    row.threads = threads;
    row.result = measure(session, test, arguments.repetitions, limits, bar);
    if (arguments.profile) row.profile = profile(session, test, limits);
    rows.push_back(std::move(row));
  }
}

int run(const BenchArguments& arguments) {
  const std::vector<BenchGroup> all = groups(arguments);
  const Interrupt interrupt;
  const auto model = open_model(arguments.model, arguments.load);
  std::vector<BenchRow> rows;
  for (const BenchGroup& group : all) run_group(group, arguments, model, interrupt, rows);
  print(arguments.json ? json_report(rows) : table_report(rows));
  return kSuccess;
}

}  // namespace

Command add_bench(CLI::App& app) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure speed, as a share of what the machine can do");
  command->footer(
      "Tests are named as llama-bench names them: pp512, tg128, tg128 @ d4096. Each has one "
      "repetition that does not\ncount. tokens/s are medians, spread is the largest minus the "
      "smallest. The limit is measured before each\nrepetition: for tg the bandwidth of reading a "
      "buffer of the weights' size, against the bytes of weights and\ncache that a step reads; for "
      "pp the multiply-add peak of the units that the kernels use (limit_kind:\n\"amx bf16\" or "
      "\"f32 vector\"), against the operations of the prompt. The share is the median of each "
      "repetition's\nown. --json: bytes_per_second (tg) or flops_per_second (pp) and limit share a "
      "unit; limit_tokens_per_second\nis the limit in tokens.");
  add_bench_options(*command, *arguments);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
