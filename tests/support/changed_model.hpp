// A small model of tests/data/arch with some of its metadata or tensors changed.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "ingot/model.hpp"
#include "tests/support/binary_file.hpp"

namespace ingot::test {

struct ModelChanges {
  std::function<void(GgufWriter&)> metadata = {};
  std::vector<std::string> without_tensors = {};
  std::vector<std::string> half_rows = {};  ///< tensors that lose the second half of their rows
  /// Writes a tensor in another way and returns true; those of which it says false stay as they
  /// are.
  std::function<bool(GgufWriter&, const GgufTensor&)> tensor = {};
};

/// A tensor's elements.
inline std::vector<float> values_of(const GgufTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
  dequantize(*tensor.dtype(), tensor.data, values);
  return values;
}

/// Adds a tensor of these elements in `type`.
inline void add_values(GgufWriter& writer, const std::string& name,
                       const std::vector<std::int64_t>& shape, const std::vector<float>& values,
                       DType type = DType::F32) {
  std::vector<std::byte> bytes(row_bytes(type, static_cast<std::int64_t>(values.size())));
  quantize(type, values, bytes);
  writer.add_tensor(name, type, shape, std::move(bytes));
}

/// The changed file, opened. Errors come from what reads it, not from here.
inline std::shared_ptr<const GgufFile> changed_model(const std::string& name,
                                                     const ModelChanges& changes) {
  const auto file = GgufFile::open(test_data("arch/" + name + ".gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  if (changes.metadata) changes.metadata(writer);
  const auto lists = [](const std::vector<std::string>& names, const std::string& wanted) {
    return std::find(names.begin(), names.end(), wanted) != names.end();
  };
  for (const GgufTensor& tensor : file->tensors()) {
    if (lists(changes.without_tensors, tensor.name)) continue;
    if (changes.tensor && changes.tensor(writer, tensor)) continue;
    if (lists(changes.half_rows, tensor.name)) {
      std::vector<std::int64_t> shape = tensor.shape;
      shape[1] /= 2;
      writer.add_tensor(tensor.name, tensor.type_id, shape,
                        tensor.data.first(tensor.data.size() / 2));
      continue;
    }
    writer.add_tensor(tensor);
  }
  return GgufFile::from_bytes(writer.to_bytes(), name + " (changed)");
}

}  // namespace ingot::test
