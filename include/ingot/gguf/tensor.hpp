// A tensor of a GGUF file: its name, type, shape and where its bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/gguf/tensor_type.hpp"

namespace ingot {

namespace gguf {

/// Whether the codecs and the table of sizes say the same of every type that this library computes
/// with.
constexpr bool sizes_agree() {
  // Compared by value: g++ takes no address comparison as constant under -fsanitize=undefined.
  for (const quant::Format& format : quant::kFormats) {
    bool found = false;
    for (const TensorType& type : kTensorTypes) {
      found =
          found || (type.id == static_cast<std::uint32_t>(format.id) && type.name == format.name &&
                    static_cast<int>(type.block_size) == format.block_size &&
                    static_cast<int>(type.block_bytes) == format.block_bytes);
    }
    if (!found) return false;
  }
  return true;
}
static_assert(sizes_agree(), "a row of quant/formats.hpp is missing or different in kTensorTypes");

}  // namespace gguf

/// A tensor as the file describes it. Valid as long as its GgufFile is held. When it comes from a
/// GgufFile, the type is in kTensorTypes, 1 to 4 dimensions are all >= 1 (a scalar, which has none
/// in the file, is {1}), columns are a multiple of the type's block size, and `data` holds exactly
/// the tensor's bytes, aligned as general.alignment says.
struct GgufTensor {
  std::string name;
  std::uint32_t type_id = 0;        ///< GGUF's number of the storage type
  std::vector<std::int64_t> shape;  ///< [0] columns (contiguous), [1] rows, [2] experts
  std::span<const std::byte> data;

  /// Elements of one contiguous row.
  std::int64_t columns() const { return shape.front(); }

  /// Rows over all further dimensions: shape[1] * shape[2] * shape[3].
  std::int64_t rows() const {
    std::int64_t product = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
    return product;
  }

  std::int64_t element_count() const { return columns() * rows(); }

  /// The type if it is one that this library computes with.
  std::optional<DType> dtype() const { return dtype_from_id(type_id); }

  /// The type's name, e.g. "Q4_K" or "IQ2_XXS".
  std::string_view type_name() const {
    const gguf::TensorType* type = gguf::find_tensor_type(type_id);
    return type != nullptr ? type->name : std::string_view("unknown");
  }
};

}  // namespace ingot
