// What a storage type is: names, block sizes, row sizes, and the scalar codecs with checked arguments.
// Complete in headers; the formats themselves are in ingot/quant/.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ingot/error.hpp"
#include "ingot/quant/formats.hpp"

namespace ingot {

using quant::DType;

/// GGUF's name of a type, e.g. "Q4_K".
constexpr std::string_view to_string(DType type) { return quant::format(type).name; }

/// The type with that name (case-insensitive, as on a command line), if it is one of ours.
std::optional<DType> parse_dtype(std::string_view name);

/// The type with that GGUF number, if it is one of ours.
std::optional<DType> dtype_from_id(std::uint32_t id);

/// Elements in one block (1 for F32, 32 for Q8_0, 256 for Q4_K).
constexpr std::int64_t block_size(DType type) { return quant::format(type).block_size; }

/// Bytes of one block.
constexpr std::int64_t block_bytes(DType type) { return quant::format(type).block_bytes; }

/// Bytes of a row of `columns` elements. Error invalid_argument unless columns is a multiple of block_size.
std::uint64_t row_bytes(DType type, std::int64_t columns);

/// Decodes `to.size()` elements, a multiple of the block size, bit for bit as published files mean them.
/// Error invalid_argument when the sizes do not agree.
void dequantize(DType type, std::span<const std::byte> from, std::span<float> to);

/// Encodes with the plain (round to nearest) encoder. Error unsupported for types without an encoder.
void quantize(DType type, std::span<const float> from, std::span<std::byte> to);

}  // namespace ingot
