// The options that change how a model turns positions into angles, for contexts beyond the trained
// one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

#include "ingot/model.hpp"

namespace ingot::tools {

/// As given; what they mean depends on the model.
struct RopeArguments {
  std::optional<double> base;
  std::optional<RopeScaling::Kind> kind;
  std::optional<double> factor;
  std::optional<std::int64_t> original_context;

  bool given() const { return base || kind || factor || original_context; }
};

/// --rope-base, --rope-scaling, --rope-factor, --rope-original-ctx.
void add_rope_options(CLI::App& command, RopeArguments& arguments);

/// Puts them into `options`. A factor or original context alone changes the scaling that the file
/// states; a scaling of the file's kind keeps what was not given. UsageError for combinations that
/// say too little.
void apply(const RopeArguments& arguments, const Model& model, RunOptions& options);

}  // namespace ingot::tools
