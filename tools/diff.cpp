// ingot diff: two devices, instruction by instruction.
#include "ingot/diff.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/session.hpp"
#include "support/files.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct DiffArguments {
  std::string model;
  std::string token_file;
  std::string against;
  bool all = false;
  LoadOptions load;
};

std::string scientific(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2e", value);
  return text.data();
}

/// How much of its bound a difference uses; NaN uses more than any.
double share(const ValueDifference& difference) {
  return std::isnan(difference.error) ? INFINITY : difference.ratio();
}

std::string describe(const ValueDifference& difference) {
  return "instruction " + std::to_string(difference.instruction) + " " + difference.operation +
         " -> " + difference.value + ": error " + scientific(difference.error) + ", bound " +
         scientific(difference.bound) + " (" + fixed(share(difference), 3) + " of it), row " +
         std::to_string(difference.worst_row);
}

bool is_beyond(const ValueDifference& difference) {
  return difference.beyond();
}

int run(const DiffArguments& arguments) {
  const auto model = Model::open(arguments.model);
  const std::vector<TokenId> ids = read_ids(arguments.token_file, model->spec().vocabulary_size);
  LoadOptions a = arguments.load;
  a.run.context = static_cast<std::int64_t>(ids.size());
  LoadOptions b = a;
  b.device = arguments.against;
  const std::vector<ValueDifference> differences = compare_devices(model, ids, a, b);
  if (differences.empty()) fail(ErrorCode::internal, "the two devices gave no values to compare");

  std::string text;
  if (arguments.all) {
    for (const ValueDifference& difference : differences) text += describe(difference) + '\n';
  }
  const auto first = std::find_if(differences.begin(), differences.end(), is_beyond);
  const auto worst =
      std::max_element(differences.begin(), differences.end(),
                       [](const auto& x, const auto& y) { return share(x) < share(y); });
  const auto count = std::count_if(differences.begin(), differences.end(), is_beyond);
  text += "compared " + a.device + " with " + b.device + ": " + std::to_string(differences.size()) +
          " values, " + std::to_string(ids.size()) + " tokens, " + std::to_string(count) +
          " beyond the bound\n";
  text += "first beyond: " + (first == differences.end() ? "none" : describe(*first)) + '\n';
  text += "worst: " + describe(*worst) + '\n';
  print(text);
  return count == 0 ? kSuccess : kFailure;
}

}  // namespace

Command add_diff(CLI::App& app) {
  auto arguments = std::make_shared<DiffArguments>();
  arguments->load.cache = {DType::F32, DType::F32};
  CLI::App* command = app.add_subcommand(
      "diff", "Compare two devices instruction by instruction, each on the same inputs");
  command->footer(
      "Each instruction of B gets A's values as inputs, so errors do not add up. An error is the\n"
      "Euclidean distance of a row relative to the row's norm; docs/numerics.md derives the\n"
      "bounds. Exit code 1 if any value is beyond its bound.");
  add_model_argument(*command, arguments->model);
  command->add_option("--tokens", arguments->token_file, "int32 ids of the sequence")
      ->required()
      ->type_name("FILE");
  add_device_options(*command, arguments->load);
  command->add_option("--against", arguments->against, "The device to compare with --device")
      ->required()
      ->check(device_name())
      ->type_name("NAME");
  command->add_flag("--all", arguments->all, "Print every value's line, not only first and worst");
  add_cache_options(*command, arguments->load.cache);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
