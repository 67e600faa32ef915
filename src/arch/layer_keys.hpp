// Hyper-parameters that files state once for all layers or, as an array, once per layer. Converters
// write arrays for models whose layers differ, and some write them for all models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "ingot/error.hpp"
#include "ingot/gguf.hpp"

namespace ingot::internal {

/// Error bad_file unless the array `key` has an entry for each of the file's layers (block_count).
void require_layer_array(const GgufFile& file, const std::string& key, const GgufValue& value);

/// [[noreturn]] Error unsupported: layers differ in `key`, and the architecture has it once.
[[noreturn]] void refuse_unequal_layers(const GgufFile& file, const std::string& key);

/// The key's value, one for all layers: itself, or what every entry of an array is. Nothing when
/// the key is absent. Errors as GgufFile::try_get, and unsupported, naming the key, where layers
/// differ.
template <class T>
std::optional<T> try_uniform_key(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr || !value->is_array()) return file.try_get<T>(key);
  require_layer_array(file, key, *value);
  const auto each = file.get<std::vector<T>>(key);
  const T first = each.front();
  for (const T other : each) {
    if (other != first) refuse_unequal_layers(file, key);
  }
  return first;
}

template <class T>
T uniform_key(const GgufFile& file, const std::string& key, std::type_identity_t<T> fallback) {
  return try_uniform_key<T>(file, key).value_or(fallback);
}

/// The key's values, one per layer, where layers differ; empty where they do not, or the key is
/// absent. Errors as GgufFile::try_get, and bad_file for an array of another length than layers.
std::vector<std::int64_t> differing_layers(const GgufFile& file, const std::string& key);

}  // namespace ingot::internal
