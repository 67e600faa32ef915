#include "bench/arguments.hpp"

#include <string_view>

#include "commands.hpp"
#include "support/load_options.hpp"
#include "support/numbers.hpp"

namespace ingot::tools {
namespace {

void add_list(CLI::App& command, const std::string& names, const std::string& what,
              const std::string& fallback, std::vector<std::string>& to) {
  command.add_option(names, to, what)
      ->type_name("N,...")
      ->default_str(fallback)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

std::vector<std::string> spell_out_options(int count, char** arguments) {
  std::vector<std::string> list(arguments + 1, arguments + count);
  if (list.empty() || list.front() != "bench") return list;
  for (std::string& argument : list) {
    if (argument == "-ub") argument = "--ubatch-size";
    if (argument == "-ctk") argument = "--cache-type-k";
    if (argument == "-ctv") argument = "--cache-type-v";
  }
  return list;
}

void add_bench_options(CLI::App& command, BenchArguments& arguments) {
  add_model_argument(command, arguments.model);
  add_list(command, "-p,--n-prompt", "Prompt tokens (pp); 0: no such test", "512",
           arguments.prompt);
  add_list(command, "-n,--n-gen", "Tokens to generate (tg); 0: no such test", "128",
           arguments.generate);
  add_list(command, "-d,--n-depth", "Tokens in the cache before a test begins", "0",
           arguments.depth);
  add_list(command, "-b,--batch-size", "Most prompt tokens handed over at once", "2048",
           arguments.batch);
  add_list(command, "--ubatch-size", "Most tokens computed at once; also -ub", "512",
           arguments.ubatch);
  add_list(command, "--sequences", "Sequences stepped together, each with so many tokens", "1",
           arguments.sequences);
  add_list(command, "-t,--threads", "Threads; 0: as many as this process may use", "0",
           arguments.threads);
  command.add_option("-r,--repetitions", arguments.repetitions, "Repetitions that count")
      ->check(whole_number(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--device", arguments.load.device,
                  "What computes; `ingot devices` lists the names")
      ->check(device_name())
      ->type_name("NAME")
      ->capture_default_str();
  add_memory_options(command, arguments.load);
  add_cache_options(command, arguments.load.cache);
  add_rope_options(command, arguments.rope);
  add_number_options(command, arguments.load);
  command.add_flag("--json", arguments.json, "Print an array of rows instead of a table");
  command.add_flag("--profile", arguments.profile,
                   "One more repetition of each test, timed per instruction kind and format; all "
                   "threads wait for each other after every instruction then, so it is slower");
}

std::vector<std::int64_t> numbers(const std::vector<std::string>& given, const std::string& option,
                                  std::int64_t fallback, std::int64_t least, std::int64_t most) {
  if (given.empty()) return {fallback};
  std::vector<std::int64_t> found;
  for (const std::string& list : given) {
    std::string_view rest = list;
    while (true) {
      const std::size_t comma = rest.find(',');
      const std::string_view text = rest.substr(0, comma);
      const auto value = parse_whole(text);
      if (!value || *value < least || *value > most) {
        throw UsageError(option + ": '" + std::string(text) + "' is no number from " +
                         std::to_string(least) + " to " + std::to_string(most));
      }
      found.push_back(*value);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return found;
}

}  // namespace ingot::tools
