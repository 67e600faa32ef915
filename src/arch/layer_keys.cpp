#include "src/arch/layer_keys.hpp"

#include <algorithm>

#include "src/arch/decoder.hpp"

namespace ingot::internal {

void require_layer_array(const GgufFile& file, const std::string& key, const GgufValue& value) {
  const auto layers = file.get<std::uint64_t>(arch_key(file, "block_count"));
  if (value.size() == layers && layers > 0) return;
  fail(ErrorCode::bad_file, file.path(), ": key ", key, " has ", value.size(), " entries for ",
       layers, " layers");
}

void refuse_unequal_layers(const GgufFile& file, const std::string& key) {
  fail(ErrorCode::unsupported, file.path(), ": key ", key,
       " has different values for different layers; this architecture is known with one for all");
}

std::vector<std::int64_t> differing_layers(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr || !value->is_array()) return {};
  require_layer_array(file, key, *value);
  auto each = file.get<std::vector<std::int64_t>>(key);
  const bool differ = std::any_of(each.begin(), each.end(),
                                  [&](std::int64_t entry) { return entry != each.front(); });
  if (!differ) each.clear();
  return each;
}

}  // namespace ingot::internal
