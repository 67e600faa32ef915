// What a caller may decide about a model, checked and put over what its file says.
#pragma once

#include <optional>
#include <string_view>

#include "ingot/model.hpp"

namespace ingot::internal {

/// A field of a RopeScaling that makes no sense: its name, and what it should be.
struct ScalingFault {
  std::string_view field;
  double value = 0;
  std::string_view expected;
};

/// The first field without meaning for this kind of scaling, if there is one. NaN is none anywhere.
std::optional<ScalingFault> fault_of(const RopeScaling& scaling);

/// The spec with the caller's RoPE settings in place of the file's. Error invalid_argument naming
/// the option whose value makes no sense, or that the model cannot follow.
ModelSpec with_options(const ModelSpec& spec, const RunOptions& options);

}  // namespace ingot::internal
