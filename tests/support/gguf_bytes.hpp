// Hand-made GGUF bytes, independent of GgufWriter and free to break every rule, and a walk that
// touches all that a GgufFile gives out, so that a sanitizer sees any access out of bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/gguf.hpp"

namespace ingot::test {

/// Appends fields in the order a file has them.
class GgufBytes {
 public:
  template <class T>
  GgufBytes& put(T value) {
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  GgufBytes& u32(std::uint32_t value) { return put(value); }
  GgufBytes& u64(std::uint64_t value) { return put(value); }
  GgufBytes& raw(std::string_view text) {
    const auto from = std::as_bytes(std::span(text.data(), text.size()));
    bytes_.insert(bytes_.end(), from.begin(), from.end());
    return *this;
  }
  GgufBytes& text(std::string_view text) { return u64(text.size()).raw(text); }

  GgufBytes& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(keys);
  }

  /// A key and its value's type; the value follows.
  GgufBytes& key(std::string_view name, GgufType type) {
    return text(name).u32(static_cast<std::uint32_t>(type));
  }
  template <class T>
  GgufBytes& scalar(std::string_view name, GgufType type, T value) {
    return key(name, type).put(value);
  }
  /// An array's key, element type and length; the elements follow.
  GgufBytes& array(std::string_view name, GgufType element, std::uint64_t count) {
    return key(name, GgufType::array).u32(static_cast<std::uint32_t>(element)).u64(count);
  }

  GgufBytes& tensor(std::string_view name, const std::vector<std::uint64_t>& shape,
                    std::uint32_t type, std::uint64_t offset) {
    text(name).u32(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t size : shape) u64(size);
    return u32(type).u64(offset);
  }

  /// Zeros up to the next multiple of `alignment`.
  GgufBytes& pad(std::size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  /// `count` bytes 1, 2, 3 ...
  GgufBytes& data(std::size_t count) {
    for (std::size_t i = 1; i <= count; ++i) bytes_.push_back(static_cast<std::byte>(i & 0xffU));
    return *this;
  }

  std::size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  operator std::span<const std::byte>() const {
    return bytes_;
  }  // NOLINT(google-explicit-constructor)

 private:
  std::vector<std::byte> bytes_;
};

/// A small file with a value of every type, nested and empty arrays, and three tensors (F32, Q8_0
/// and IQ2_XXS, which the library does not compute with). Ends with its last tensor.
inline GgufBytes every_type_file(std::uint32_t version = 3) {
  GgufBytes file;
  file.header(3, 19, version);
  file.key("general.architecture", GgufType::string).text("llama");
  file.scalar("u8", GgufType::uint8, std::uint8_t{200});
  file.scalar("i8", GgufType::int8, std::int8_t{-100});
  file.scalar("u16", GgufType::uint16, std::uint16_t{60000});
  file.scalar("i16", GgufType::int16, std::int16_t{-30000});
  file.scalar("u32", GgufType::uint32, std::uint32_t{4000000000});
  file.scalar("i32", GgufType::int32, std::int32_t{-2000000000});
  file.scalar("u64", GgufType::uint64, std::uint64_t{1} << 63U);
  file.scalar("i64", GgufType::int64, std::int64_t{-9000000000000000000});
  file.scalar("f32", GgufType::float32, 1.5F);
  file.scalar("f64", GgufType::float64, 1e300);
  file.scalar("yes", GgufType::boolean, std::uint8_t{1});
  file.scalar("no", GgufType::boolean, std::uint8_t{0});
  file.array("strings", GgufType::string, 3).text("").text("b").text("caf\xc3\xa9");
  file.array("ints", GgufType::int32, 3).put(std::int32_t{-1}).put(std::int32_t{0});
  file.put(std::int32_t{1});
  file.array("floats", GgufType::float32, 2).put(0.5F).put(-2.0F);
  file.array("bools", GgufType::boolean, 2).put(std::uint8_t{1}).put(std::uint8_t{0});
  file.array("nested", GgufType::array, 2);
  file.u32(static_cast<std::uint32_t>(GgufType::uint16)).u64(2);
  file.put(std::uint16_t{7}).put(std::uint16_t{8});
  file.u32(static_cast<std::uint32_t>(GgufType::uint16)).u64(0);
  file.array("empty", GgufType::float32, 0);
  file.tensor("norm", {4}, 0, 0);                // 16 bytes
  file.tensor("matrix", {32, 3}, 8, 32);         // 3 rows of one 34-byte block
  file.tensor("experts", {256, 1, 2}, 16, 160);  // 2 blocks of 66 bytes
  return file.pad().data(160 + 132);
}

/// Reads every byte reachable through the value, by every accessor; the sum keeps it from being
/// skipped.
inline std::uint64_t touch(const GgufValue& value) {
  std::uint64_t sum = value.size() + value.describe().size();
  for (const std::byte byte : value.bytes()) sum += std::to_integer<unsigned>(byte);
  const auto number = [&](auto kind) {
    using T = decltype(kind);
    if (const auto scalar = value.try_as<T>()) sum += *scalar == T{} ? 1U : 2U;
    if (const auto vector = value.try_as<std::vector<T>>()) {
      for (const T element : *vector) sum += element == T{} ? 1U : 2U;
    }
  };
  number(bool{});
  number(std::uint8_t{});
  number(std::int8_t{});
  number(std::uint16_t{});
  number(std::int16_t{});
  number(std::uint32_t{});
  number(std::int32_t{});
  number(std::uint64_t{});
  number(std::int64_t{});
  number(float{});
  number(double{});
  const auto characters = [&](std::string_view text) {
    for (const char c : text) sum += static_cast<unsigned char>(c);
  };
  if (const auto text = value.try_as<std::string>()) characters(*text);
  if (const auto texts = value.try_as<std::vector<std::string_view>>()) {
    for (const std::string_view text : *texts) characters(text);
  }
  if (value.is_array() && value.element_type() == GgufType::string) {
    for (const std::string_view text : value.strings()) characters(text);
  }
  if (const auto nested = value.try_as<std::vector<std::vector<std::int32_t>>>())
    sum += nested->size();
  if (value.is_array()) {
    for (std::uint64_t i = 0; i < value.size(); ++i) sum += touch(value.at(i));
  }
  return sum;
}

/// Reads every byte that the file gives out. Throws std::logic_error when look-ups disagree with
/// lists or a tensor breaks what GgufTensor promises.
inline std::uint64_t touch(const GgufFile& file) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  std::uint64_t sum = file.version() + file.total_bytes() + file.path().size();
  for (const auto& [key, value] : file.metadata()) {
    require(file.find(key) == &value, "find() does not return the listed value");
    sum += touch(value);
    try {
      sum += file.get<std::uint32_t>(key);
    } catch (const Error& error) {
      require(error.code() == ErrorCode::bad_file, "a wrong value type is not a bad_file Error");
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    require(file.find_tensor(tensor.name) == &tensor,
            "find_tensor() does not return the listed tensor");
    require(tensor.columns() >= 1 && tensor.rows() >= 1, "a tensor is empty");
    const gguf::TensorType* type = gguf::find_tensor_type(tensor.type_id);
    require(type != nullptr && tensor.columns() % type->block_size == 0,
            "a row ends inside a block");
    require(tensor.data.size() == static_cast<std::uint64_t>(tensor.element_count()) /
                                      type->block_size * type->block_bytes,
            "data does not have the tensor's size");
    require(reinterpret_cast<std::uintptr_t>(tensor.data.data()) % 8 == 0, "data is not aligned");
    for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
    sum += tensor.type_name().size() + (tensor.dtype() ? 1U : 0U);
  }
  // The one name that no file can have.
  require(file.find("") == nullptr && file.find_tensor("") == nullptr, "an absent name is found");
  return sum;
}

}  // namespace ingot::test
