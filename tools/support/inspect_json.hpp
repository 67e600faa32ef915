// A model file as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "ingot/gguf.hpp"

namespace ingot::tools {

/// Arrays longer than this are cut in the JSON: their length is given beside the first elements.
inline constexpr std::uint64_t kJsonArrayLimit = 16;

/// A metadata value; a long array becomes {"element_type", "length", "first": [...]}.
nlohmann::ordered_json to_json(const GgufValue& value);

/// {"file", "metadata", "tensors"} of a file.
nlohmann::ordered_json to_json(const GgufFile& file);

/// A value as JSON text in ASCII and a line end: what a terminal would act on is escaped, and JSON
/// allows some of it (DEL, C1, direction marks). Strings of a file need not be UTF-8, JSON's must:
/// bytes that are none become U+FFFD.
std::string json_text(const nlohmann::ordered_json& value);

/// GGUF's name of a tensor's type, also of types that are not computed with here.
std::string type_name(const GgufTensor& tensor);

}  // namespace ingot::tools
