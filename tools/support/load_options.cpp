#include "support/load_options.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <utility>

#include "support/numbers.hpp"
#include "support/sizes.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

constexpr std::array kCacheTypes = {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0};

void add_cache_option(CLI::App& command, const std::string& name, const std::string& what,
                      DType& type) {
  std::string names;
  for (const DType allowed : kCacheTypes) {
    names += (names.empty() ? "" : "|") + option_name(allowed);
  }
  command
      .add_option_function<std::string>(
          name,
          [&type, name, names](const std::string& text) {
            const auto parsed = parse_dtype(text);
            if (!parsed ||
                std::find(kCacheTypes.begin(), kCacheTypes.end(), *parsed) == kCacheTypes.end()) {
              throw CLI::ValidationError(name, "'" + text + "' is none of " + names);
            }
            type = *parsed;
          },
          "Type of the cached " + what + ": " + names)
      ->type_name("TYPE")
      ->default_str(option_name(type));
}

}  // namespace

std::string option_name(DType type) {
  std::string name(to_string(type));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

void add_model_argument(CLI::App& command, std::string& path) {
  command.add_option("MODEL", path, "GGUF file (of a split model, the first part)")
      ->required()
      ->type_name("FILE");
}

CLI::Validator device_name() {
  return CLI::Validator(
      [](std::string& name) {
        std::string known;
        for (const std::string& device : device_names()) {
          if (device == name) return std::string();
          known += (known.empty() ? "" : ", ") + device;
        }
        return "no device '" + name + "' here; this build has: " + known;
      },
      "");
}

void add_cache_options(CLI::App& command, CacheTypes& types) {
  add_cache_option(command, "--cache-type-k", "keys", types.key);
  add_cache_option(command, "--cache-type-v", "values", types.value);
}

void add_memory_options(CLI::App& command, LoadOptions& options) {
  command
      .add_option_function<std::string>(
          "--memory",
          [&options](const std::string& text) {
            const auto bytes = parse_bytes(text);
            if (!bytes || *bytes == 0) {
              throw CLI::ValidationError(
                  "--memory", "'" + text + "' is no amount of memory; give bytes, or 512MiB, 8G");
            }
            options.memory_limit = *bytes;
          },
          "Memory that the model may take (bytes, or 512MiB, 8G); default: what is available")
      ->type_name("SIZE");
  command.add_flag_function(
      "--no-map", [&options](std::int64_t) { options.map = false; },
      "Read the whole file into memory instead of mapping it: for files that may change or go away "
      "while the model runs; takes their size more");
}

void add_number_options(CLI::App& command, LoadOptions& options) {
  command
      .add_option_function<std::string>(
          "--precision",
          [&options](const std::string& name) {
            options.compile.precision = name == "f32" ? Precision::f32 : Precision::fast;
          },
          "Of activations and products: fast, or f32 (slower)")
      ->check(CLI::IsMember({"fast", "f32"}).description(""))
      ->type_name("NAME")
      ->default_str("fast");
  command.add_flag("--deterministic", options.deterministic,
                   "A token's bits do not depend on what is computed beside it (slower)");
}

void add_device_options(CLI::App& command, LoadOptions& options) {
  command.add_option("--device", options.device, "What computes; `ingot devices` lists the names")
      ->check(device_name())
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("-t,--threads", options.compile.threads,
                  "Threads; 0: as many as this process may use")
      ->check(whole_number(0, 4096))
      ->type_name("N")
      ->capture_default_str();
  add_memory_options(command, options);
  add_number_options(command, options);
}

std::shared_ptr<const Model> open_model(const std::string& path, const LoadOptions& options) {
  return Model::open(path, {.map = options.map, .memory_limit = options.memory_limit});
}

std::shared_ptr<const Executable> load(std::shared_ptr<const Model> model, LoadOptions options,
                                       const Interrupt& interrupt, double* seconds) {
  const auto start = std::chrono::steady_clock::now();
  ProgressBar bar;
  options.compile.progress = [&](std::string_view what, std::uint64_t done, std::uint64_t total) {
    interrupt.check();
    bar.update(what, done, total);
  };
  auto executable = Executable::load(std::move(model), options);
  interrupt.check();
  bar.clear();
  warn(executable->warnings());
  if (seconds != nullptr) {
    *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return executable;
}

std::string plan_line(const MemoryPlan& plan) {
  return plan.device + ", weights " + human_bytes(plan.weights_bytes) + ", cache " +
         human_bytes(plan.cache_bytes) + " (" + option_name(plan.cache.key) + "/" +
         option_name(plan.cache.value) + ", context " + std::to_string(plan.context) + " of " +
         std::to_string(plan.model_context) + "), scratch " + human_bytes(plan.scratch_bytes);
}

}  // namespace ingot::tools
