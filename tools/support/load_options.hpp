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

/// --memory: bytes that the model may take; --no-map: hold the file in memory.
void add_memory_options(CLI::App& command, LoadOptions& options);

/// --precision and --deterministic.
void add_number_options(CLI::App& command, LoadOptions& options);

/// --device, --threads and those of add_memory_options() and add_number_options().
void add_device_options(CLI::App& command, LoadOptions& options);

/// Opens the model as the options say: mapped, or with --no-map copied into memory.
std::shared_ptr<const Model> open_model(const std::string& path, const LoadOptions& options);

/// Loads with a progress bar; Ctrl-C ends it with Error cancelled. `seconds`, if given, gets the
/// time it took.
std::shared_ptr<const Executable> load(std::shared_ptr<const Model> model, LoadOptions options,
                                       const Interrupt& interrupt, double* seconds = nullptr);

/// What a session will take, in one line for stderr.
std::string plan_line(const MemoryPlan& plan);

/// A cache or storage type's name as the options take it: "q8_0".
std::string option_name(DType type);

}  // namespace ingot::tools
