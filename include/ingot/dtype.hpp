// What a storage type is: names, block sizes, row sizes, and the scalar codecs with checked
// arguments. Complete in headers; the formats themselves are in ingot/quant/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ingot/error.hpp"
#include "ingot/quant/formats.hpp"

namespace ingot {

using quant::DType;

// See quant/config.hpp: inline code is kept apart per instruction set.
inline namespace INGOT_QUANT_TARGET {

namespace dtype_detail {

/// The row of a type; Error invalid_argument for a number that was cast to DType unchecked.
constexpr const quant::Format& known_format(DType type) {
  const quant::Format* found = quant::find_format(type);
  if (found == nullptr)
    fail(ErrorCode::invalid_argument, "storage type ", static_cast<std::uint32_t>(type),
         " is none of this library's; use dtype_from_id to check a number from a file");
  return *found;
}

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace dtype_detail

/// GGUF's name of a type, e.g. "Q4_K".
constexpr std::string_view to_string(DType type) {
  return dtype_detail::known_format(type).name;
}

/// The type with that name (case-insensitive, as on a command line), if it is one of ours.
constexpr std::optional<DType> parse_dtype(std::string_view name) {
  for (const quant::Format& candidate : quant::kFormats)
    if (dtype_detail::equal_ignoring_case(candidate.name, name)) return candidate.id;
  return std::nullopt;
}

/// The type with that GGUF number, if it is one of ours.
constexpr std::optional<DType> dtype_from_id(std::uint32_t id) {
  const DType type = static_cast<DType>(id);
  return quant::find_format(type) != nullptr ? std::optional<DType>(type) : std::nullopt;
}

/// Elements in one block (1 for F32, 32 for Q8_0, 256 for Q4_K).
constexpr std::int64_t block_size(DType type) {
  return dtype_detail::known_format(type).block_size;
}

/// Bytes of one block.
constexpr std::int64_t block_bytes(DType type) {
  return dtype_detail::known_format(type).block_bytes;
}

/// Bytes of a row of `columns` elements. Error invalid_argument unless columns is a multiple of
/// block_size.
constexpr std::uint64_t row_bytes(DType type, std::int64_t columns) {
  const quant::Format& format = dtype_detail::known_format(type);
  if (columns < 0 || columns % format.block_size != 0)
    fail(ErrorCode::invalid_argument, "a row of ", columns, " columns cannot be ", format.name,
         ", which stores blocks of ", format.block_size, "; use a type with smaller blocks");
  // A column takes at most 4 bytes, so this cannot pass 2^65 / 2 = 2^64.
  return static_cast<std::uint64_t>(columns / format.block_size) *
         static_cast<std::uint64_t>(format.block_bytes);
}

/// Decodes `to.size()` elements, a multiple of the block size, bit for bit as published files mean
/// them. Error invalid_argument when the sizes do not agree.
inline void dequantize(DType type, std::span<const std::byte> from, std::span<float> to) {
  const std::int64_t count = static_cast<std::int64_t>(to.size());
  const std::uint64_t bytes = row_bytes(type, count);
  if (bytes != from.size())
    fail(ErrorCode::invalid_argument, "decoding ", count, " elements of ", to_string(type),
         " takes ", bytes, " bytes, not ", from.size());
  dtype_detail::known_format(type).dequantize(from.data(), to.data(), count);
}

/// Encodes `from.size()` elements, a multiple of the block size, with the plain (round to nearest)
/// encoder. NaN counts as 0 and what a format cannot reach saturates, in every type but F32 and
/// BF16, which keep both, and F16, which keeps NaN. Error invalid_argument when the sizes do not
/// agree, unsupported for types without an encoder.
inline void quantize(DType type, std::span<const float> from, std::span<std::byte> to) {
  const std::int64_t count = static_cast<std::int64_t>(from.size());
  const std::uint64_t bytes = row_bytes(type, count);
  if (bytes != to.size())
    fail(ErrorCode::invalid_argument, "encoding ", count, " elements as ", to_string(type),
         " takes ", bytes, " bytes, not ", to.size());
  const auto encode = dtype_detail::known_format(type).quantize;
  if (encode == nullptr)
    fail(ErrorCode::unsupported, "there is no encoder for ", to_string(type),
         "; choose another type");
  encode(from.data(), to.data(), count);
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot
