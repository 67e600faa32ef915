// A small model of tests/data/arch with some of its metadata or tensors changed.
#pragma once

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
};

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
