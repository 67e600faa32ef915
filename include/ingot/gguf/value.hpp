// A metadata value of a GGUF file: a scalar, a string or an array, read in place from the file's
// bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ingot/error.hpp"

namespace ingot {

// Values and tensors are read where they lie, and GGUF is little-endian.
static_assert(std::endian::native == std::endian::little, "ingot runs on little-endian machines");

/// The types of a metadata value, numbered as GGUF numbers them.
enum class GgufType : std::uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12,
};

/// The type's name as the format's documentation spells it, e.g. "uint32".
constexpr std::string_view to_string(GgufType type) {
  switch (type) {
    case GgufType::uint8: return "uint8";
    case GgufType::int8: return "int8";
    case GgufType::uint16: return "uint16";
    case GgufType::int16: return "int16";
    case GgufType::uint32: return "uint32";
    case GgufType::int32: return "int32";
    case GgufType::float32: return "float32";
    case GgufType::boolean: return "bool";
    case GgufType::string: return "string";
    case GgufType::array: return "array";
    case GgufType::uint64: return "uint64";
    case GgufType::int64: return "int64";
    case GgufType::float64: return "float64";
  }
  return "unknown";
}

namespace gguf {

/// Bytes of one scalar of the type; 0 for string, array and numbers that are no type.
constexpr std::size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::uint8:
    case GgufType::int8:
    case GgufType::boolean: return 1;
    case GgufType::uint16:
    case GgufType::int16: return 2;
    case GgufType::uint32:
    case GgufType::int32:
    case GgufType::float32: return 4;
    case GgufType::uint64:
    case GgufType::int64:
    case GgufType::float64: return 8;
    case GgufType::string:
    case GgufType::array: return 0;
  }
  return 0;
}

/// Reads a T from unaligned little-endian bytes.
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
inline constexpr bool kIsVector = false;
template <class T, class Allocator>
inline constexpr bool kIsVector<std::vector<T, Allocator>> = true;

template <class T>
inline constexpr bool kIsText =
    std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>;

/// A number as To when To can hold it: whole numbers must stay exact; between floating-point widths
/// the value may be rounded but not overflow. A bool is not a number.
template <class To, class From>
std::optional<To> convert_number(From from) {
  if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
    if (!std::in_range<To>(from)) return std::nullopt;
    return static_cast<To>(from);
  } else if constexpr (std::is_integral_v<To>) {
    // 2^digits is exact in a double, unlike the largest To itself.
    const double value = static_cast<double>(from);
    const double limit = std::ldexp(1.0, std::numeric_limits<To>::digits);
    const double lowest = std::is_signed_v<To> ? -limit : 0.0;
    if (!(value >= lowest && value < limit) || value != std::trunc(value)) return std::nullopt;
    return static_cast<To>(value);
  } else if constexpr (std::is_integral_v<From>) {
    const To value = static_cast<To>(from);
    const auto back = convert_number<From>(value);
    if (!back || *back != from) return std::nullopt;
    return value;
  } else {
    const double value = static_cast<double>(from);
    if (std::isfinite(value) &&
        std::abs(value) > static_cast<double>(std::numeric_limits<To>::max())) {
      return std::nullopt;
    }
    return static_cast<To>(from);
  }
}

/// The scalar stored at `from`, as a T (bool, integer or floating point) if it can be one.
template <class T>
std::optional<T> load_as(GgufType type, const std::byte* from) {
  if constexpr (std::is_same_v<T, bool>) {
    if (type != GgufType::boolean) return std::nullopt;
    return load<std::uint8_t>(from) != 0;
  } else {
    switch (type) {
      case GgufType::uint8: return convert_number<T>(load<std::uint8_t>(from));
      case GgufType::int8: return convert_number<T>(load<std::int8_t>(from));
      case GgufType::uint16: return convert_number<T>(load<std::uint16_t>(from));
      case GgufType::int16: return convert_number<T>(load<std::int16_t>(from));
      case GgufType::uint32: return convert_number<T>(load<std::uint32_t>(from));
      case GgufType::int32: return convert_number<T>(load<std::int32_t>(from));
      case GgufType::float32: return convert_number<T>(load<float>(from));
      case GgufType::uint64: return convert_number<T>(load<std::uint64_t>(from));
      case GgufType::int64: return convert_number<T>(load<std::int64_t>(from));
      case GgufType::float64: return convert_number<T>(load<double>(from));
      case GgufType::boolean:
      case GgufType::string:
      case GgufType::array: return std::nullopt;
    }
    return std::nullopt;
  }
}

struct Quoted {
  std::string operator()(std::string_view text) const {
    constexpr std::size_t kShown = 80;
    std::size_t shown = std::min(kShown, text.size());
    // Not inside a character: a UTF-8 one has at most three bytes behind its first.
    for (int i = 0; i < 3 && shown > 0 && shown < text.size(); ++i) {
      if ((static_cast<unsigned char>(text[shown]) & 0xC0U) != 0x80) break;
      --shown;
    }
    return "'" + printable(text.substr(0, shown)) + (shown < text.size() ? "...'" : "'");
  }
};

/// quoted(text): text for a message, quoted, cut after 80 bytes and printable(), so that a hostile
/// name can neither break the line nor reach a terminal. An object, because for a
/// std::string overload resolution would prefer std::quoted to a function.
inline constexpr Quoted quoted{};

class Parser;

}  // namespace gguf

/// A metadata value. It refers to the bytes of its GgufFile and is valid as long as that file is
/// held; copying it is cheap.
class GgufValue {
 public:
  GgufType type() const { return type_; }
  bool is_array() const { return type_ == GgufType::array; }
  bool is_string() const { return type_ == GgufType::string; }

  /// The type of an array's elements; type() itself for anything else.
  GgufType element_type() const { return element_type_; }

  /// Elements of an array, 1 for anything else.
  std::uint64_t size() const { return is_array() ? count_ : 1; }

  /// The value as T: bool, any integer, float, double, std::string, std::string_view, or
  /// std::vector of those (of vectors for nested arrays). Numbers convert when T can hold them:
  /// whole numbers exactly, float64 to float32 by rounding. Nothing when the value is of another
  /// kind or does not fit.
  template <class T>
  std::optional<T> try_as() const {
    if constexpr (gguf::kIsVector<T>) {
      return as_vector<T>();
    } else if constexpr (gguf::kIsText<T>) {
      if (!is_string()) return std::nullopt;
      return T(text());
    } else {
      static_assert(std::is_arithmetic_v<T>,
                    "a GgufValue is a number, bool, string or vector of those");
      if (is_array() || is_string()) return std::nullopt;
      return gguf::load_as<T>(type_, bytes_.data());
    }
  }

  /// As try_as, but Error bad_file when the value is no T. GgufFile::get names file and key as
  /// well.
  template <class T>
  T as() const {
    auto value = try_as<T>();
    if (!value)
      fail(ErrorCode::bad_file, "a metadata value has the wrong type: it is ", describe());
    return *std::move(value);
  }

  /// Element `index` of an array. Error invalid_argument when this is no array or index >= size().
  GgufValue at(std::uint64_t index) const {
    if (!is_array())
      fail(ErrorCode::invalid_argument, "no element of ", describe(), ": not an array");
    if (index >= count_) {
      fail(ErrorCode::invalid_argument, "element ", index, " asked of ", describe());
    }
    const auto i = static_cast<std::size_t>(index);
    if (element_type_ == GgufType::array) return children_->arrays[i];
    if (element_type_ == GgufType::string) {
      const std::string_view text = children_->strings[i];
      return scalar(GgufType::string, std::as_bytes(std::span(text.data(), text.size())));
    }
    const std::size_t width = gguf::scalar_bytes(element_type_);
    return scalar(element_type_, bytes_.subspan(i * width, width));
  }

  /// The elements of a string array, in place. Error bad_file when this is no array of strings.
  std::span<const std::string_view> strings() const {
    if (!is_array() || element_type_ != GgufType::string) {
      fail(ErrorCode::bad_file, "an array of strings is needed, but the value is ", describe());
    }
    if (children_ == nullptr) return {};
    return children_->strings;
  }

  /// The value's bytes in the file: a scalar, a string's characters, or the packed elements of an
  /// array of scalars (unaligned). Empty for arrays of strings or arrays.
  std::span<const std::byte> bytes() const { return bytes_; }

  /// The value for a message, e.g. "int32 -1", "string 'llama'", "array of 32000 string".
  std::string describe() const {
    if (is_array()) return detail::concat("array of ", count_, ' ', to_string(element_type_));
    if (is_string()) return detail::concat("string ", gguf::quoted(text()));
    if (const auto flag = try_as<bool>()) return *flag ? "bool true" : "bool false";
    if (const auto whole = try_as<std::int64_t>()) {
      return detail::concat(to_string(type_), ' ', *whole);
    }
    if (const auto large = try_as<std::uint64_t>()) {
      return detail::concat(to_string(type_), ' ', *large);
    }
    return detail::concat(to_string(type_), ' ', try_as<double>().value_or(0.0));
  }

 private:
  friend class gguf::Parser;

  /// What does not lie in the file as such: where each string starts, and the inner arrays. Null
  /// where there are none, or a file of empty arrays would take many times its size.
  struct Children {
    std::vector<std::string_view> strings;
    std::vector<GgufValue> arrays;
  };

  GgufValue() = default;

  static GgufValue scalar(GgufType type, std::span<const std::byte> bytes) {
    GgufValue value;
    value.type_ = value.element_type_ = type;
    value.bytes_ = bytes;
    return value;
  }

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

  template <class Vector>
  std::optional<Vector> as_vector() const {
    using Element = typename Vector::value_type;
    if (!is_array()) return std::nullopt;
    Vector out;
    // Writers give an empty list any element type, so it is an empty vector of everything.
    if (count_ == 0) return out;
    if constexpr (gguf::kIsVector<Element>) {
      if (element_type_ != GgufType::array) return std::nullopt;
      for (const GgufValue& inner : children_->arrays) {
        auto converted = inner.template try_as<Element>();
        if (!converted) return std::nullopt;
        out.push_back(*std::move(converted));
      }
    } else if constexpr (gguf::kIsText<Element>) {
      if (element_type_ != GgufType::string) return std::nullopt;
      out.assign(children_->strings.begin(), children_->strings.end());
    } else {
      const std::size_t width = gguf::scalar_bytes(element_type_);
      if (width == 0) return std::nullopt;
      out.reserve(static_cast<std::size_t>(count_));
      for (std::size_t i = 0; i < count_; ++i) {
        const auto converted = gguf::load_as<Element>(element_type_, bytes_.data() + i * width);
        if (!converted) return std::nullopt;
        out.push_back(*converted);
      }
    }
    return out;
  }

  GgufType type_ = GgufType::uint8;
  GgufType element_type_ = GgufType::uint8;
  std::uint64_t count_ = 0;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const Children> children_;  // arrays of strings or arrays that are not empty
};

}  // namespace ingot
