// The command line of ingot bench, in llama-bench's vocabulary.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "ingot/session.hpp"
#include "support/rope_options.hpp"

namespace ingot::tools {

/// Options that take lists: "512", "512,1024", or given several times.
struct BenchArguments {
  std::string model;
  std::vector<std::string> prompt, generate, depth, batch, ubatch, sequences, threads;
  int repetitions = 5;
  bool json = false;
  bool profile = false;
  LoadOptions load;
  RopeArguments rope;
};

void add_bench_options(CLI::App& command, BenchArguments& arguments);

/// The numbers of a list option, or `fallback` if it was not given. UsageError naming the option
/// when one is no number from `least` to `most`.
std::vector<std::int64_t> numbers(const std::vector<std::string>& given, const std::string& option,
                                  std::int64_t fallback, std::int64_t least, std::int64_t most);

}  // namespace ingot::tools
