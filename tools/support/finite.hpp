// Logits that mean nothing.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ingot::tools {

/// Error bad_file, naming model, position and token id, when a row of logits has NaN or an
/// infinity: numbers that tools downstream would average away or print as a result.
void require_finite(std::span<const float> logits, std::size_t position, const std::string& model);

}  // namespace ingot::tools
