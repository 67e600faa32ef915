// The options of commands that run a model, and loading with them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "ingot/session.hpp"
#include "support/interrupt.hpp"

namespace ingot::tools {

/// MODEL, as every command takes it.
void add_model_argument(CLI::App& command, std::string& path);

/// Accepts the devices' names; which of them this build has is the library's to say.
CLI::Validator device_name();

/// --cache-type-k and --cache-type-v. `types` holds the defaults.
void add_cache_options(CLI::App& command, CacheTypes& types);

/// --device and --threads.
void add_device_options(CLI::App& command, LoadOptions& options);

/// Loads with a progress bar; Ctrl-C ends it with Error cancelled. `seconds`, if given, gets the
/// time it took.
std::shared_ptr<const Executable> load(std::shared_ptr<const Model> model, LoadOptions options,
                                       const Interrupt& interrupt, double* seconds = nullptr);

/// What a session will take, in one line for stderr.
std::string plan_line(const MemoryPlan& plan);

/// A cache or storage type's name as the options take it: "q8_0".
std::string option_name(DType type);

}  // namespace ingot::tools
