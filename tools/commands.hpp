// The subcommands of the ingot program; each is defined in the file of its name.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace ingot::tools {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;        ///< an ingot::Error, or a check that did not hold
inline constexpr int kBadUsage = 2;       ///< arguments that have no meaning
inline constexpr int kInterrupted = 130;  ///< 128 + SIGINT; see interrupted_exit_code

/// Arguments that parse but do not go together; ends in kBadUsage.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Command {
  CLI::App* parser;
  std::function<int()> run;  ///< returns the exit code; throws ingot::Error or UsageError
};

Command add_run(CLI::App& app);
Command add_logits(CLI::App& app);
Command add_diff(CLI::App& app);
Command add_tokenize(CLI::App& app);
Command add_dequantize(CLI::App& app);
Command add_inspect(CLI::App& app);
Command add_perplexity(CLI::App& app);
Command add_quantize(CLI::App& app);
Command add_synth(CLI::App& app);
Command add_devices(CLI::App& app);
Command add_bench(CLI::App& app);

/// The arguments behind the program's name. llama-bench's options of several letters behind one
/// dash (-ub, -ctk, -ctv), which CLI11 cannot have, become their long forms for `ingot bench`.
std::vector<std::string> spell_out_options(int count, char** arguments);

}  // namespace ingot::tools
