// Every storage type in one list, and one row of facts about each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "ingot/quant/bf16.hpp"
#include "ingot/quant/config.hpp"
#include "ingot/quant/dot.hpp"
#include "ingot/quant/dtype.hpp"
#include "ingot/quant/f16.hpp"
#include "ingot/quant/f32.hpp"
#include "ingot/quant/iq4_nl.hpp"
#include "ingot/quant/iq4_xs.hpp"
#include "ingot/quant/mxfp4.hpp"
#include "ingot/quant/q2_k.hpp"
#include "ingot/quant/q3_k.hpp"
#include "ingot/quant/q4_0.hpp"
#include "ingot/quant/q4_1.hpp"
#include "ingot/quant/q4_k.hpp"
#include "ingot/quant/q5_0.hpp"
#include "ingot/quant/q5_1.hpp"
#include "ingot/quant/q5_k.hpp"
#include "ingot/quant/q6_k.hpp"
#include "ingot/quant/q8_0.hpp"

namespace ingot::quant {

/// Facts about one storage type. Counts are elements, multiples of block_size; bytes need no
/// alignment.
struct Format {
  DType id;
  std::string_view name;  ///< GGUF's name
  int block_size;         ///< elements per block
  int block_bytes;        ///< bytes per block
  void (*dequantize)(const std::byte* from, float* to, std::int64_t count);
  void (*quantize)(const float* from, std::byte* to,
                   std::int64_t count);  ///< null if there is none
};

inline namespace INGOT_QUANT_TARGET {

/// Decodes `count` elements of consecutive blocks.
template <class Type>
void dequantize_row(const std::byte* from, float* to, std::int64_t count) {
  typename Type::Block block;
  for (std::int64_t i = 0; i < count; i += Type::kBlockSize, from += sizeof block) {
    std::memcpy(&block, from, sizeof block);
    Type::dequantize(block, to + i);
  }
}

/// Encodes `count` elements into consecutive blocks.
template <class Type>
void quantize_row(const float* from, std::byte* to, std::int64_t count) {
  typename Type::Block block;
  for (std::int64_t i = 0; i < count; i += Type::kBlockSize, to += sizeof block) {
    Type::quantize(from + i, block);
    std::memcpy(to, &block, sizeof block);
  }
}

namespace detail {

template <class... Types>
struct TypeList {
  static constexpr std::size_t kCount = sizeof...(Types);
};

/// Whether a type has an encoder.
template <class Type>
concept Encodable = requires(const float* x, typename Type::Block& block) {
  Type::quantize(x, block);
};

template <class Type>
constexpr Format row() {
  Format facts{Type::kType,           Type::kName,
               Type::kBlockSize,      static_cast<int>(sizeof(typename Type::Block)),
               &dequantize_row<Type>, nullptr};
  if constexpr (Encodable<Type>) facts.quantize = &quantize_row<Type>;
  return facts;
}

template <class... Types>
constexpr std::array<Format, sizeof...(Types)> rows(TypeList<Types...>) {
  return {row<Types>()...};
}

[[noreturn]] inline void unknown_type() {
  throw std::invalid_argument("ingot::quant: a DType outside the list in formats.hpp");
}

template <class First, class... Rest, class Visitor>
constexpr decltype(auto) visit(TypeList<First, Rest...>, DType type, Visitor&& visitor) {
  if constexpr (sizeof...(Rest) > 0) {
    if (type != First::kType)
      return visit(TypeList<Rest...>{}, type, std::forward<Visitor>(visitor));
  } else {
    if (type != First::kType) unknown_type();
  }
  return std::forward<Visitor>(visitor)(First{});
}

}  // namespace detail

/// The list. Everything below, and every loop over formats elsewhere, follows from it.
using AllFormats = detail::TypeList<F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K,
                                    Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4>;

inline constexpr auto kFormats = detail::rows(AllFormats{});

/// The row of a type, or null when it is none of ours (a number cast to DType).
constexpr const Format* find_format(DType type) {
  for (const Format& candidate : kFormats)
    if (candidate.id == type) return &candidate;
  return nullptr;
}

/// The row of a type. std::invalid_argument for a value that is no enumerator.
constexpr const Format& format(DType type) {
  const Format* found = find_format(type);
  if (found == nullptr) detail::unknown_type();
  return *found;
}

/// Calls visitor(Type{}) with the trait of a type, so that a loop over blocks is written once:
///   visit_format(type, [&](auto f) { using Type = decltype(f); ... });
/// All calls must return the same type. std::invalid_argument for a value that is no enumerator.
template <class Visitor>
constexpr decltype(auto) visit_format(DType type, Visitor&& visitor) {
  return detail::visit(AllFormats{}, type, std::forward<Visitor>(visitor));
}

}  // namespace INGOT_QUANT_TARGET
}  // namespace ingot::quant
