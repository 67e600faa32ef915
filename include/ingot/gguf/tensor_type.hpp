// How many bytes a tensor of each public GGUF storage type takes, also the types that this library
// does not compute with, so that every tensor of a file can be reached and copied. Numbers, block
// sizes and block bytes: https://github.com/ggml-org/ggml (docs/gguf.md, include/ggml.h,
// src/ggml-common.h).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

namespace ingot::gguf {

/// One storage type: `block_size` consecutive elements of a row are stored in `block_bytes` bytes.
struct TensorType {
  std::uint32_t id;
  std::string_view name;
  std::uint32_t block_size;
  std::uint32_t block_bytes;
};

// 4 and 5 (Q4_2, Q4_3) left before GGUF existed. 31-33 and 36-38 are Q4_0 and IQ4_NL with
// interleaved rows, written for a while in 2024: their sizes are those of the plain types.
inline constexpr auto kTensorTypes = std::to_array<TensorType>({
    {0, "F32", 1, 4},           {1, "F16", 1, 2},           {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},        {6, "Q5_0", 32, 22},        {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},        {9, "Q8_1", 32, 36},        {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},     {12, "Q4_K", 256, 144},     {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},     {15, "Q8_K", 256, 292},     {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},    {18, "IQ3_XXS", 256, 98},   {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},     {21, "IQ3_S", 256, 110},    {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136},   {24, "I8", 1, 1},           {25, "I16", 1, 2},
    {26, "I32", 1, 4},          {27, "I64", 1, 8},          {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},     {30, "BF16", 1, 2},         {31, "Q4_0_4_4", 32, 18},
    {32, "Q4_0_4_8", 32, 18},   {33, "Q4_0_8_8", 32, 18},   {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},     {36, "IQ4_NL_4_4", 32, 18}, {37, "IQ4_NL_4_8", 32, 18},
    {38, "IQ4_NL_8_8", 32, 18}, {39, "MXFP4", 32, 17},      {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},      {42, "Q2_0", 64, 18},
});

/// The type with that GGUF number, or nullptr.
constexpr const TensorType* find_tensor_type(std::uint32_t id) {
  for (const TensorType& type : kTensorTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

/// a * b, or nothing when it does not fit in an int64 (both must be >= 0).
constexpr std::optional<std::int64_t> checked_product(std::int64_t a, std::int64_t b) {
  if (b != 0 && a > std::numeric_limits<std::int64_t>::max() / b) return std::nullopt;
  return a * b;
}

/// Elements of a shape whose dimensions are all >= 1, or nothing when they exceed an int64.
constexpr std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : shape) {
    const auto product = checked_product(count, dimension);
    if (!product) return std::nullopt;
    count = *product;
  }
  return count;
}

/// Bytes of a tensor (shape[0], the columns, must be a multiple of the block size), or nothing when
/// elements or bytes exceed an int64.
constexpr std::optional<std::int64_t> checked_tensor_bytes(const TensorType& type,
                                                           std::span<const std::int64_t> shape) {
  const auto elements = checked_element_count(shape);
  if (!elements) return std::nullopt;
  return checked_product(*elements / type.block_size, type.block_bytes);
}

}  // namespace ingot::gguf
