// Metadata values as GGUF stores them, from C++ values or from another file's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ingot/gguf/value.hpp"

namespace ingot::gguf {

using Bytes = std::vector<std::byte>;

template <class T>
void append_scalar(Bytes& out, T value) {
  const auto at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

inline void append_text(Bytes& out, std::string_view text) {
  append_scalar(out, static_cast<std::uint64_t>(text.size()));
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
inline constexpr bool kIsTextLike = std::is_convertible_v<const T&, std::string_view>;

/// The metadata type that stores a T: integers and floating point by width and sign.
template <class T>
constexpr GgufType type_of() {
  if constexpr (kIsVector<T>) {
    return GgufType::array;
  } else if constexpr (kIsTextLike<T>) {
    return GgufType::string;
  } else if constexpr (std::is_same_v<T, bool>) {
    return GgufType::boolean;
  } else if constexpr (std::is_floating_point_v<T>) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "GGUF has 32- and 64-bit floating point");
    return sizeof(T) == 4 ? GgufType::float32 : GgufType::float64;
  } else {
    static_assert(std::is_integral_v<T>, "a metadata value is a number, bool, string or vector");
    constexpr bool kSigned = std::is_signed_v<T>;
    switch (sizeof(T)) {
      case 1: return kSigned ? GgufType::int8 : GgufType::uint8;
      case 2: return kSigned ? GgufType::int16 : GgufType::uint16;
      case 4: return kSigned ? GgufType::int32 : GgufType::uint32;
      default: return kSigned ? GgufType::int64 : GgufType::uint64;
    }
  }
}

/// Appends the value without its type; an array brings the type of its elements.
template <class T>
void append_value(Bytes& out, const T& value) {
  if constexpr (kIsVector<T>) {
    using Element = typename T::value_type;
    append_scalar(out, static_cast<std::uint32_t>(type_of<Element>()));
    append_scalar(out, static_cast<std::uint64_t>(value.size()));
    for (const auto& element : value) append_value<Element>(out, element);
  } else if constexpr (kIsTextLike<T>) {
    append_text(out, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    append_scalar(out, static_cast<std::uint8_t>(value ? 1 : 0));
  } else {
    append_scalar(out, value);
  }
}

/// Appends a value read from a file as it stands there, byte for byte.
inline void append_value(Bytes& out, const GgufValue& value) {
  if (value.is_string()) return append_text(out, *value.try_as<std::string_view>());
  if (value.is_array()) {
    append_scalar(out, static_cast<std::uint32_t>(value.element_type()));
    append_scalar(out, value.size());
    if (scalar_bytes(value.element_type()) == 0) {
      for (std::uint64_t i = 0; i < value.size(); ++i) append_value(out, value.at(i));
      return;
    }
  }
  out.insert(out.end(), value.bytes().begin(), value.bytes().end());
}

}  // namespace ingot::gguf
