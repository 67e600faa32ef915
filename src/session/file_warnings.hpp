// What a model file leaves open and has to be guessed, as sentences for its user.
#pragma once

#include <string>
#include <vector>

#include "ingot/model.hpp"

namespace ingot::internal {

/// Model::warnings() of a file with this spec.
std::vector<std::string> file_warnings(const GgufFile& file, const ModelSpec& spec);

}  // namespace ingot::internal
