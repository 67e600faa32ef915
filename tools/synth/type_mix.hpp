// Which storage type each tensor of a model gets: the mixes that published GGUF files have.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ingot/dtype.hpp"
#include "synth/shapes.hpp"

namespace ingot::tools {

/// A mix by its published name. Which tensors get more bits follows llama.cpp's quantizer
/// (llama_tensor_get_type in src/llama-quant.cpp, without an importance matrix), so that a file has
/// the size and the work of a published one.
struct TypeMix {
  std::string_view name;    ///< "Q4_K_M"
  DType base;               ///< what most matrices are
  std::uint32_t file_type;  ///< general.file_type (llama.h's llama_ftype)
};

/// Null when there is no mix of that name (case-insensitive).
const TypeMix* find_mix(std::string_view name);

/// All names, separated by '|'.
std::string mix_names();

/// The type of a tensor of the shape.
DType tensor_type(const TypeMix& mix, const Shape& shape, const TensorShape& tensor);

/// Bytes of all tensors, without padding and metadata.
std::uint64_t weight_bytes(const TypeMix& mix, const Shape& shape);

}  // namespace ingot::tools
