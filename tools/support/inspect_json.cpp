#include "support/inspect_json.hpp"

#include <algorithm>
#include <string>

namespace ingot::tools {

using nlohmann::ordered_json;

std::string type_name(const GgufTensor& tensor) {
  const gguf::TensorType* type = gguf::find_tensor_type(tensor.type_id);
  return type != nullptr ? std::string(type->name) : "type " + std::to_string(tensor.type_id);
}

ordered_json to_json(const GgufValue& value) {
  if (value.is_array()) {
    ordered_json elements = ordered_json::array();
    const std::uint64_t shown =
        value.size() <= kJsonArrayLimit ? value.size() : std::uint64_t{kJsonArrayLimit / 2};
    for (std::uint64_t i = 0; i < shown; ++i) elements.push_back(to_json(value.at(i)));
    if (shown == value.size()) return elements;
    return {{"element_type", to_string(value.element_type())},
            {"length", value.size()},
            {"first", std::move(elements)}};
  }
  if (value.is_string()) return value.as<std::string>();
  if (value.type() == GgufType::boolean) return value.as<bool>();
  if (value.type() == GgufType::float32 || value.type() == GgufType::float64) {
    return value.as<double>();
  }
  if (const auto whole = value.try_as<std::int64_t>()) return *whole;
  return value.as<std::uint64_t>();
}

std::string json_text(const ordered_json& value) {
  return value.dump(2, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

ordered_json to_json(const GgufFile& file) {
  ordered_json result;
  result["file"] = {
      {"path", file.path()}, {"version", file.version()}, {"bytes", file.total_bytes()}};
  ordered_json& metadata = result["metadata"] = ordered_json::object();
  for (const auto& [key, value] : file.metadata()) metadata[key] = to_json(value);
  ordered_json& tensors = result["tensors"] = ordered_json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", type_name(tensor)},
                       {"shape", tensor.shape},
                       {"bytes", tensor.data.size()}});
  }
  return result;
}

}  // namespace ingot::tools
