// Turns the bytes of one GGUF file into metadata and tensors. The bytes are hostile until checked:
// every count is held against the bytes that remain before anything is sized by it, so memory and
// time are bounded by a small multiple of the file's size. Format:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/error.hpp"
#include "ingot/gguf/tensor.hpp"
#include "ingot/gguf/tensor_type.hpp"
#include "ingot/gguf/value.hpp"

namespace ingot::gguf {

inline constexpr std::array<std::byte, 4> kMagic{std::byte{'G'}, std::byte{'G'}, std::byte{'U'},
                                                 std::byte{'F'}};
inline constexpr std::uint32_t kLowestVersion = 2;
inline constexpr std::uint32_t kHighestVersion = 3;
inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr std::uint64_t kDefaultAlignment = 32;
/// A huge page: no file needs its tensors further apart.
inline constexpr std::uint64_t kHighestAlignment = std::uint64_t{1} << 21U;
inline constexpr std::uint64_t kLongestKey = 65535;
/// The format says 64; converters of image models write longer ones.
inline constexpr std::uint64_t kLongestTensorName = 1024;
inline constexpr std::uint32_t kMostDimensions = 4;
/// Published files nest no arrays at all; the bound keeps recursion shallow.
inline constexpr int kDeepestArray = 8;

/// Room made ahead for a claimed count; beyond it vectors grow as the items are really found.
inline constexpr std::uint64_t kMostReserved = std::uint64_t{1} << 20U;

using Metadata = std::vector<std::pair<std::string, GgufValue>>;

/// What one file says.
struct Part {
  std::uint32_t version = 0;
  Metadata metadata;
  std::vector<GgufTensor> tensors;
};

constexpr bool is_valid_alignment(std::uint64_t alignment) {
  return alignment >= 8 && alignment <= kHighestAlignment && std::has_single_bit(alignment);
}

constexpr std::uint64_t align_up(std::uint64_t position, std::uint64_t alignment) {
  return (position + alignment - 1) & ~(alignment - 1);
}

/// Positions of `items` in the order of their names: a look-up table that no choice of names can
/// slow.
template <class Items, class NameOf>
std::vector<std::size_t> order_by_name(const Items& items, NameOf name_of) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return name_of(items[a]) < name_of(items[b]); });
  return order;
}

/// The first name that two items share, or nullptr.
template <class Items, class NameOf>
const std::string* find_duplicate(const Items& items, const std::vector<std::size_t>& order,
                                  NameOf name_of) {
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (name_of(items[order[i - 1]]) == name_of(items[order[i]])) return &name_of(items[order[i]]);
  }
  return nullptr;
}

/// The item of that name, or nullptr.
template <class Items, class NameOf>
auto find_by_name(const Items& items, const std::vector<std::size_t>& order, NameOf name_of,
                  std::string_view name) -> decltype(items.data()) {
  const auto found = std::lower_bound(order.begin(), order.end(), name,
                                      [&](std::size_t i, std::string_view wanted) {
                                        return std::string_view(name_of(items[i])) < wanted;
                                      });
  if (found == order.end() || std::string_view(name_of(items[*found])) != name) return nullptr;
  return &items[*found];
}

inline const std::string& key_of(const Metadata::value_type& entry) {
  return entry.first;
}
inline const std::string& name_of(const GgufTensor& tensor) {
  return tensor.name;
}

class Parser {
 public:
  /// `file` names the file in messages. What is parsed refers to `bytes`.
  Parser(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  /// Error bad_file when the bytes break the format, unsupported for other versions, byte orders
  /// and tensor types.
  Part parse() {
    Part part;
    part.version = read_version();
    const auto tensor_count = read<std::uint64_t>("the header");
    const auto key_count = read<std::uint64_t>("the header");
    // Smallest key: length, one character, type, one byte. Smallest tensor: length, one character,
    // dimension count (of a scalar), type, offset.
    check_count(key_count, 8 + 1 + 4 + 1, "metadata keys");
    read_metadata(key_count, part.metadata);
    const std::uint64_t alignment = read_alignment(part.metadata);
    check_count(tensor_count, 8 + 1 + 4 + 4 + 8, "tensors");
    read_tensors(tensor_count, alignment, part.tensors);
    return part;
  }

 private:
  struct Extent {
    std::uint64_t begin, end;  // bytes from the start of the file
    std::size_t tensor;
  };

  template <class Vector>
  static void reserve(Vector& items, std::uint64_t claimed) {
    items.reserve(static_cast<std::size_t>(std::min(claimed, kMostReserved)));
  }

  std::uint64_t remaining() const { return bytes_.size() - position_; }

  template <class... Text>
  [[noreturn]] void bad(const Text&... text) const {
    fail(ErrorCode::bad_file, "'", file_, "': ", text...);
  }

  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > remaining()) {
      bad("the file ends inside ", what, " (", count, " bytes needed at byte ", position_, ", ",
          remaining(), " left); it is cut short or damaged, download it again");
    }
    const auto taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return taken;
  }

  template <class T>
  T read(std::string_view what) {
    return load<T>(take(sizeof(T), what).data());
  }

  std::span<const std::byte> read_string(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    return take(length, what);
  }

  std::string read_name(std::uint64_t longest, std::string_view what) {
    const auto characters = read_string(what);
    if (characters.empty() || characters.size() > longest) {
      bad(what, " before byte ", position_, " has ", characters.size(), " bytes; 1 to ", longest,
          " are allowed");
    }
    return {reinterpret_cast<const char*>(characters.data()), characters.size()};
  }

  void check_count(std::uint64_t count, std::uint64_t smallest, std::string_view what) const {
    if (count > remaining() / smallest) {
      bad("the file claims ", count, ' ', what, " but only ", remaining(),
          " bytes follow; it is cut short or damaged, download it again");
    }
  }

  std::uint32_t read_version() {
    constexpr std::string_view kPointer = "version https://git-lfs";
    const auto starts_with = [this](const void* text, std::size_t size) {
      return bytes_.size() >= size && std::memcmp(bytes_.data(), text, size) == 0;
    };
    if (starts_with(kPointer.data(), kPointer.size())) {
      bad("this is a Git LFS pointer, not the model; fetch the real file (git lfs pull)");
    }
    if (!starts_with(kMagic.data(), kMagic.size())) {
      bad("not a GGUF file: it does not begin with the letters GGUF");
    }
    position_ = kMagic.size();
    const auto version = read<std::uint32_t>("the header");
    if (version >= kLowestVersion && version <= kHighestVersion) return version;
    if (version != 0 && (version & 0xffffU) == 0) {
      fail(ErrorCode::unsupported, "'", file_,
           "': big-endian GGUF is not supported; use the little-endian file of this model");
    }
    fail(ErrorCode::unsupported, "'", file_, "': GGUF version ", version,
         " is not supported (versions 2 and 3 are); convert the model again with a current tool");
  }

  void read_metadata(std::uint64_t count, Metadata& metadata) {
    reserve(metadata, count);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string key = read_name(kLongestKey, "a metadata key");
      const auto type = static_cast<GgufType>(read<std::uint32_t>("a metadata value's type"));
      GgufValue value = read_value(type, key, 0);
      metadata.emplace_back(std::move(key), std::move(value));
    }
    if (const auto* twice = find_duplicate(metadata, order_by_name(metadata, key_of), key_of)) {
      bad("metadata key ", quoted(*twice), " appears twice");
    }
  }

  GgufValue read_value(GgufType type, std::string_view key, int depth) {
    if (type == GgufType::array) return read_array(key, depth + 1);
    if (type == GgufType::string) return GgufValue::scalar(type, read_string("a metadata string"));
    const std::size_t width = scalar_bytes(type);
    if (width == 0) unknown_value_type(type, key);
    GgufValue value = GgufValue::scalar(type, take(width, "a metadata value"));
    if (type == GgufType::boolean) check_booleans(value.bytes_, key);
    return value;
  }

  GgufValue read_array(std::string_view key, int depth) {
    if (depth > kDeepestArray) {
      bad("metadata key ", quoted(key), " nests arrays deeper than ", kDeepestArray);
    }
    GgufValue value;
    value.type_ = GgufType::array;
    value.element_type_ = static_cast<GgufType>(read<std::uint32_t>("an array's type"));
    value.count_ = read<std::uint64_t>("an array's length");
    const std::size_t width = scalar_bytes(value.element_type_);
    if (width != 0) {
      check_count(value.count_, width, "array elements");
      value.bytes_ = take(value.count_ * width, "an array");
      if (value.element_type_ == GgufType::boolean) check_booleans(value.bytes_, key);
      return value;
    }
    auto children = std::make_shared<GgufValue::Children>();
    if (value.element_type_ == GgufType::string) {
      check_count(value.count_, sizeof(std::uint64_t), "strings");
      reserve(children->strings, value.count_);
      for (std::uint64_t i = 0; i < value.count_; ++i) {
        const auto text = read_string("a string array");
        children->strings.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
      }
    } else if (value.element_type_ == GgufType::array) {
      // Not reserved: an inner array is larger here than in the file.
      check_count(value.count_, 4 + 8, "arrays");
      for (std::uint64_t i = 0; i < value.count_; ++i) {
        children->arrays.push_back(read_array(key, depth + 1));
      }
    } else {
      unknown_value_type(value.element_type_, key);
    }
    if (value.count_ != 0) value.children_ = std::move(children);
    return value;
  }

  [[noreturn]] void unknown_value_type(GgufType type, std::string_view key) const {
    bad("metadata key ", quoted(key), " has unknown value type ", static_cast<std::uint32_t>(type));
  }

  void check_booleans(std::span<const std::byte> values, std::string_view key) const {
    for (const std::byte value : values) {
      if (std::to_integer<unsigned>(value) > 1) {
        bad("metadata key ", quoted(key), " holds a bool that is neither 0 nor 1");
      }
    }
  }

  std::uint64_t read_alignment(const Metadata& metadata) const {
    for (const auto& [key, value] : metadata) {
      if (key != kAlignmentKey) continue;
      const auto alignment = value.try_as<std::uint64_t>();
      if (!alignment || !is_valid_alignment(*alignment)) {
        bad(kAlignmentKey, " is ", value.describe(), "; a power of two from 8 to ",
            kHighestAlignment, " is needed");
      }
      return *alignment;
    }
    return kDefaultAlignment;
  }

  void read_tensors(std::uint64_t count, std::uint64_t alignment,
                    std::vector<GgufTensor>& tensors) {
    reserve(tensors, count);
    std::vector<std::uint64_t> offsets;
    reserve(offsets, count);
    for (std::uint64_t i = 0; i < count; ++i) {
      GgufTensor tensor;
      tensor.name = read_name(kLongestTensorName, "a tensor's name");
      read_shape(tensor);
      tensor.type_id = read<std::uint32_t>("a tensor's type");
      offsets.push_back(read<std::uint64_t>("a tensor's offset"));
      tensors.push_back(std::move(tensor));
    }
    // The position is within a file that exists, so this sum is far from overflowing.
    const std::uint64_t data_begin = align_up(position_, alignment);
    std::vector<Extent> extents;
    extents.reserve(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      extents.push_back(place(tensors[i], i, data_begin, offsets[i], alignment));
    }
    check_overlaps(extents, tensors);
  }

  void read_shape(GgufTensor& tensor) {
    const auto dimensions = read<std::uint32_t>("a tensor's shape");
    if (dimensions > kMostDimensions) {
      bad("tensor ", quoted(tensor.name), " has ", dimensions, " dimensions; up to ",
          kMostDimensions, " are allowed");
    }
    // A scalar is one element like a vector of one, and everything else may count on a dimension.
    if (dimensions == 0) tensor.shape = {1};
    tensor.shape.reserve(dimensions);
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const auto size = read<std::uint64_t>("a tensor's shape");
      if (size == 0 ||
          size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        bad("tensor ", quoted(tensor.name), " has a dimension of ", size, " elements");
      }
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
  }

  /// Checks type, shape and range, and points the tensor at its bytes.
  Extent place(GgufTensor& tensor, std::size_t index, std::uint64_t data_begin,
               std::uint64_t offset, std::uint64_t alignment) const {
    const TensorType* type = find_tensor_type(tensor.type_id);
    if (type == nullptr) {
      fail(ErrorCode::unsupported, "'", file_, "': tensor ", quoted(tensor.name),
           " has storage type ", tensor.type_id,
           ", which this version does not know; use another quantization of the model");
    }
    if (tensor.columns() % type->block_size != 0) {
      bad("tensor ", quoted(tensor.name), " has ", tensor.columns(), " columns, not a multiple of ",
          type->name, "'s block of ", type->block_size);
    }
    const auto size = checked_tensor_bytes(*type, tensor.shape);
    if (!size) bad("tensor ", quoted(tensor.name), " has more elements than can be addressed");
    if (offset % alignment != 0) {
      bad("tensor ", quoted(tensor.name), " starts at offset ", offset,
          ", not a multiple of the alignment ", alignment);
    }
    const auto bytes = static_cast<std::uint64_t>(*size);
    const std::uint64_t available = bytes_.size() > data_begin ? bytes_.size() - data_begin : 0;
    if (offset > available || bytes > available - offset) {
      bad("tensor ", quoted(tensor.name), " (", bytes, " bytes at offset ", offset,
          " of the data) ends beyond the file's ", bytes_.size(),
          " bytes; it is cut short or damaged, download it again");
    }
    const std::uint64_t begin = data_begin + offset;
    tensor.data = bytes_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(bytes));
    return {begin, begin + bytes, index};
  }

  void check_overlaps(std::vector<Extent>& extents, const std::vector<GgufTensor>& tensors) const {
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].begin >= extents[i - 1].end) continue;
      bad("tensors ", quoted(tensors[extents[i - 1].tensor].name), " and ",
          quoted(tensors[extents[i].tensor].name), " overlap");
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::size_t position_ = 0;
};

}  // namespace ingot::gguf
