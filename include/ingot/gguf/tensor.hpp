// A tensor of a GGUF file: its name, type, shape and where its bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/gguf/tensor_type.hpp"
#include "ingot/quant/dtype.hpp"

namespace ingot {

using quant::DType;

/// A tensor as the file describes it. Valid as long as its GgufFile is held. When it comes from a
/// GgufFile, the type is in kTensorTypes, 1 to 4 dimensions are all >= 1, columns are a multiple of
/// the type's block size, and `data` holds exactly the tensor's bytes, aligned as general.alignment
/// says.
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
  std::optional<DType> dtype() const {
    switch (const auto type = static_cast<DType>(type_id)) {
      case DType::F32:
      case DType::F16:
      case DType::Q4_0:
      case DType::Q4_1:
      case DType::Q5_0:
      case DType::Q5_1:
      case DType::Q8_0:
      case DType::Q2_K:
      case DType::Q3_K:
      case DType::Q4_K:
      case DType::Q5_K:
      case DType::Q6_K:
      case DType::IQ4_NL:
      case DType::IQ4_XS:
      case DType::BF16:
      case DType::MXFP4:
        return type;
    }
    return std::nullopt;
  }

  /// The type's name, e.g. "Q4_K" or "IQ2_XXS".
  std::string_view type_name() const {
    const gguf::TensorType* type = gguf::find_tensor_type(type_id);
    return type != nullptr ? type->name : std::string_view("unknown");
  }
};

}  // namespace ingot
