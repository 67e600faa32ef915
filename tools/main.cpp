// The ingot program: finds the subcommand and turns what goes wrong into one line on stderr and an
// exit code: 0 success, 1 failure, 2 bad usage, 128 + the signal that ended it (130: Ctrl-C).
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "ingot/error.hpp"
#include "ingot/version.hpp"
#include "support/bus_error.hpp"
#include "support/interrupt.hpp"
#include "support/terminal.hpp"

namespace {

using namespace ingot::tools;

/// Prints one line, whatever the message has in it. CLI11's messages may have several.
void complain(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  note("ingot: " + message);
}

int run_program(int argc, char** argv) {
  CLI::App app("Ingot runs coding language models (GGUF files) on your own hardware.", "ingot");
  app.require_subcommand(1);
  app.set_version_flag("--version", "ingot " + std::string(ingot::version()));
  app.footer(
      "ingot COMMAND --help describes a command. Exit codes: 0 success, 1 failure, 2 bad "
      "usage, 128 + the number of the signal that ended it (130: Ctrl-C).");
  const std::vector<Command> commands = {add_run(app),        add_logits(app),     add_diff(app),
                                         add_tokenize(app),   add_dequantize(app), add_inspect(app),
                                         add_perplexity(app), add_quantize(app),   add_devices(app),
                                         add_synth(app),      add_bench(app)};
  try {
    std::vector<std::string> arguments = spell_out_options(argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a list
    app.parse(std::move(arguments));
  } catch (const CLI::Success& help) {
    std::ostringstream text;  // --help and --version
    app.exit(help, text, text);
    print(text.str());
    return kSuccess;
  } catch (const CLI::ParseError& error) {
    const auto used = app.get_subcommands();
    const std::string name = used.empty() ? "ingot" : "ingot " + used.front()->get_name();
    std::string message = error.what();
    if (used.empty() && argc > 1 && argv[1][0] != '-') {
      message = "there is no command '" + std::string(argv[1]) + "'";
    }
    complain(message + " (see " + name + " --help)");
    return kBadUsage;
  }
  for (const Command& command : commands) {
    if (!command.parser->parsed()) continue;
    try {
      return command.run();
    } catch (const UsageError& error) {
      complain(std::string(error.what()) + " (see ingot " + command.parser->get_name() +
               " --help)");
      return kBadUsage;
    }
  }
  return kBadUsage;
}

}  // namespace

int main(int argc, char** argv) {
  report_bus_errors();
  // A file that would pass the shell's limit (ulimit -f) is then refused by write, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run_program(argc, argv);
  } catch (const ingot::Error& error) {
    complain(error.what());
    return error.code() == ingot::ErrorCode::cancelled ? interrupted_exit_code() : kFailure;
  } catch (const std::bad_alloc&) {
    complain("out of memory");
  } catch (const std::exception& error) {
    complain(std::string("unexpected failure: ") + error.what());
  }
  return kFailure;
}
