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
#include "ingot/printable.hpp"
#include "ingot/session.hpp"
#include "support/files.hpp"
#include "support/load_options.hpp"
#include "support/rope_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct DiffArguments {
  std::string model;
  std::string token_file;
  std::string against;
  bool all = false;
  LoadOptions load;
  RopeArguments rope;
};

std::string scientific(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2e", value);
  return text.data();
}

/// How an error stands to its bound, in words that stay short however large it is.
std::string share(const ValueDifference& difference) {
  const double ratio = difference.ratio();
  if (std::isinf(difference.bound)) return "sums may leave the range of f32";
  if (std::isinf(difference.error)) return "a number on one side only";
  if (std::isinf(ratio)) return "nothing explains it";
  if (ratio <= 1) return fixed(ratio, 3) + " of it";
  return (ratio < 1000 ? fixed(ratio, 1) : scientific(ratio)) + " times as much";
}

std::string describe(const ValueDifference& difference) {
  std::string text = "instruction " + std::to_string(difference.instruction) + " " +
                     difference.operation + " -> " + difference.value + ": ";
  if (difference.is_index) {
    text += difference.error > 0 ? fixed(difference.error, 0) + " indices differ" : "indices agree";
  } else {
    text += "error " + scientific(difference.error) + ", bound " + scientific(difference.bound) +
            " (" + share(difference) + ")";
  }
  return text + ", row " + std::to_string(difference.worst_row);
}

bool is_beyond(const ValueDifference& difference) {
  return difference.beyond();
}

int run(const DiffArguments& arguments) {
  const auto model = open_model(arguments.model, arguments.load);
  const std::vector<TokenId> ids = read_ids(arguments.token_file, model->spec().vocabulary_size);
  LoadOptions a = arguments.load;
  apply(arguments.rope, *model, a.run);
  a.run.context = static_cast<std::int64_t>(ids.size());
  LoadOptions b = a;
  b.device = arguments.against;
  warn(model->warnings());
  const std::vector<ValueDifference> differences = compare_devices(model, ids, a, b);
  if (differences.empty()) fail(ErrorCode::internal, "the two devices gave no values to compare");

  std::string text;
  if (arguments.all) {
    for (const ValueDifference& difference : differences) text += describe(difference) + '\n';
  }
  const auto first = std::find_if(differences.begin(), differences.end(), is_beyond);
  const auto worst =
      std::max_element(differences.begin(), differences.end(),
                       [](const auto& x, const auto& y) { return x.ratio() < y.ratio(); });
  const auto count = std::count_if(differences.begin(), differences.end(), is_beyond);
  text += "compared " + a.device + " with " + b.device + ": " + std::to_string(differences.size()) +
          " values, " + std::to_string(ids.size()) + " tokens, " + std::to_string(count) +
          " beyond the bound\n";
  text += "first beyond: " + (first == differences.end() ? "none" : describe(*first)) + '\n';
  text += "worst: " + describe(*worst) + '\n';
  print(printable_lines(text));
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
  add_rope_options(*command, arguments->rope);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
