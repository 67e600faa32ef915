#include "support/rope_options.hpp"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"

namespace ingot::tools {
namespace {

using Kind = RopeScaling::Kind;

constexpr const char* kGroup = "Positions beyond the trained context";

/// A finite number from `least` on, itself included or not.
CLI::Validator at_least(double least, bool included) {
  const auto check = [=](const std::string& text) -> std::string {
    double value = 0;
    const bool number = CLI::detail::lexical_cast(text, value);
    if (number && std::isfinite(value) && (included ? value >= least : value > least)) return {};
    return "'" + text + "' is no finite number " + (included ? "from " : "above ") +
           CLI::detail::to_string(least) + (included ? " on" : "");
  };
  return CLI::Validator(check, "");
}

}  // namespace

void add_rope_options(CLI::App& command, RopeArguments& arguments) {
  command.add_option("--rope-base", arguments.base, "RoPE base instead of the file's")
      ->group(kGroup)
      ->check(at_least(1, false))
      ->type_name("X");
  command
      .add_option("--rope-scaling", arguments.kind,
                  "RoPE scaling instead of the file's: yarn (Qwen2.5 beyond 32768: with "
                  "--rope-factor 4), linear or none")
      ->group(kGroup)
      ->transform(CLI::CheckedTransformer(
                      std::vector<std::pair<std::string, Kind>>{
                          {"none", Kind::none}, {"linear", Kind::linear}, {"yarn", Kind::yarn}},
                      CLI::ignore_case)
                      .description(""))
      ->type_name("none|linear|yarn");
  command
      .add_option("--rope-factor", arguments.factor,
                  "How many times the scaling stretches the context")
      ->group(kGroup)
      ->check(at_least(1, true))
      ->type_name("F");
  command
      .add_option("--rope-original-ctx", arguments.original_context,
                  "Context before stretching, for yarn; default: the model's own")
      ->group(kGroup)
      ->check(CLI::Range(std::int64_t{1}, (std::int64_t{1} << 31) - 1).description(""))
      ->type_name("N");
}

void apply(const RopeArguments& arguments, const Model& model, RunOptions& options) {
  options.rope_base = arguments.base;
  if (!arguments.kind && !arguments.factor && !arguments.original_context) return;
  const RopeScaling& own = model.spec().rope_scaling;
  RopeScaling scaling;
  scaling.kind = arguments.kind.value_or(own.kind);
  if (scaling.kind == own.kind) scaling = own;
  if (scaling.kind == Kind::none && (arguments.factor || arguments.original_context)) {
    throw UsageError(arguments.kind ? "--rope-scaling none has no factor and no original context"
                                    : "this model has no RoPE scaling of its own to change; give "
                                      "--rope-scaling yarn or linear as well");
  }
  if (scaling.kind != Kind::none && scaling.kind != own.kind && !arguments.factor) {
    throw UsageError("--rope-scaling needs --rope-factor: how many times the context is stretched");
  }
  if (arguments.factor) scaling.factor = *arguments.factor;
  if (arguments.original_context) scaling.original_context = *arguments.original_context;
  options.rope_scaling = scaling;
}

}  // namespace ingot::tools
