// Writes GGUF version 3 files: metadata first, then the list of tensors, then their bytes, which
// may be streamed so that a model need not fit in memory. Complete in headers, but for write().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/gguf/encode.hpp"
#include "ingot/gguf/output_file.hpp"
#include "ingot/gguf/parse.hpp"
#include "ingot/gguf/tensor.hpp"
#include "ingot/gguf/value.hpp"

namespace ingot {

/// Collects metadata and tensors, then writes them in the order they were given. What GgufFile
/// would refuse is refused here, with Error invalid_argument.
class GgufWriter {
 public:
  /// Takes bytes, in order, any number at a time.
  using Sink = std::function<void(std::span<const std::byte>)>;
  /// Hands a tensor's bytes to the sink; called once per write, so it must give the same bytes
  /// again.
  using Source = std::function<void(const Sink&)>;

  /// GGUF's number of a storage type, from a DType or from the number itself.
  struct StorageType {
    std::uint32_t id;
    StorageType(DType type)
        : id(static_cast<std::uint32_t>(type)) {}      // NOLINT(google-explicit-constructor)
    StorageType(std::uint32_t number) : id(number) {}  // NOLINT(google-explicit-constructor)
  };

  /// Sets a key; a key already set keeps its place and gets the new value and type. T is bool, an
  /// integer or floating-point type (stored with its width and sign), text, a std::vector of those
  /// (nested for arrays of arrays), or a GgufValue, which is copied as it is. "general.alignment"
  /// also sets the distance that tensors are aligned to.
  template <class T>
  void set(std::string_view key, const T& value) try {
    if (key.empty() || key.size() > gguf::kLongestKey) {
      refuse("a metadata key must have 1 to ", gguf::kLongestKey, " bytes, not ", key.size());
    }
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) refuse("the text of key ", gguf::quoted(key), " is a null pointer");
    }
    Entry entry{std::string(key), {}};
    if constexpr (std::is_same_v<T, GgufValue>) {
      gguf::append_scalar(entry.value, static_cast<std::uint32_t>(value.type()));
      gguf::append_value(entry.value, value);
    } else if constexpr (gguf::kIsTextLike<T>) {
      gguf::append_scalar(entry.value, static_cast<std::uint32_t>(GgufType::string));
      gguf::append_text(entry.value, value);
    } else {
      gguf::append_scalar(entry.value, static_cast<std::uint32_t>(gguf::type_of<T>()));
      gguf::append_value<T>(entry.value, value);
    }
    const std::uint64_t alignment =
        key == gguf::kAlignmentKey ? checked_alignment(value) : alignment_;
    const auto found = find_entry(key);
    if (found != entries_.end()) {
      *found = std::move(entry);
    } else {
      entries_.push_back(std::move(entry));
    }
    alignment_ = alignment;
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::set");
  }

  /// Forgets a key; returns whether it was set.
  bool erase(std::string_view key) {
    const auto found = find_entry(key);
    if (found == entries_.end()) return false;
    if (key == gguf::kAlignmentKey) alignment_ = gguf::kDefaultAlignment;
    entries_.erase(found);
    return true;
  }

  /// Adds a tensor whose bytes `source` gives when the file is written. Shape in GGUF order: [0] is
  /// the contiguous dimension (columns). Error invalid_argument for names longer than 1024 bytes or
  /// used before, unknown types, 0 or more than 4 dimensions, dimensions < 1, columns that are
  /// not a multiple of the type's block, or no source.
  void add_tensor(std::string name, StorageType type, std::vector<std::int64_t> shape,
                  Source source) try {
    const std::uint64_t bytes = checked_bytes(name, type.id, shape);
    if (!source) refuse("tensor ", gguf::quoted(name), " has no source of bytes");
    tensors_.push_back({name, type.id, std::move(shape), bytes, std::move(source)});
    try {
      names_.insert(std::move(name));
    } catch (...) {
      tensors_.pop_back();
      throw;
    }
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::add_tensor");
  }

  /// Adds a tensor whose bytes the caller keeps until the last write.
  void add_tensor(std::string name, StorageType type, std::vector<std::int64_t> shape,
                  std::span<const std::byte> bytes) try {
    check_size(name, checked_bytes(name, type.id, shape), bytes.size());
    add_tensor(std::move(name), type, std::move(shape),
               Source([bytes](const Sink& sink) { sink(bytes); }));
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::add_tensor");
  }

  /// Adds a tensor and keeps its bytes.
  void add_tensor(std::string name, StorageType type, std::vector<std::int64_t> shape,
                  std::vector<std::byte>&& bytes) try {
    check_size(name, checked_bytes(name, type.id, shape), bytes.size());
    auto held = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    add_tensor(std::move(name), type, std::move(shape),
               Source([held](const Sink& sink) { sink(*held); }));
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::add_tensor");
  }

  /// Adds a tensor of an opened file, which the caller keeps until the last write.
  void add_tensor(const GgufTensor& tensor) try {
    add_tensor(tensor.name, tensor.type_id, tensor.shape, tensor.data);
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::add_tensor");
  }

  /// Writes the file under a temporary name beside `path` and renames it when it is complete and on
  /// the disk, so that `path` never holds half a model (a symbolic link is replaced, not followed).
  /// Error io when the disk is full or refuses, invalid_argument when a source gives too few or too
  /// many bytes; what a source throws passes through. On failure nothing is left behind.
  void write(const std::filesystem::path& path) const try {
    gguf::OutputFile file(path);
    emit([&file](std::span<const std::byte> bytes) { file.write(bytes); });
    file.commit();
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::write");
  }

  /// The file's bytes, in memory.
  std::vector<std::byte> to_bytes() const try {
    gguf::Bytes out;
    emit([&out](std::span<const std::byte> bytes) {
      out.insert(out.end(), bytes.begin(), bytes.end());
    });
    return out;
  } catch (...) {
    detail::rethrow_at_border("GgufWriter::to_bytes");
  }

 private:
  struct Entry {
    std::string key;
    gguf::Bytes value;  // type and value, as stored
  };
  struct PlannedTensor {
    std::string name;
    std::uint32_t type_id;
    std::vector<std::int64_t> shape;
    std::uint64_t bytes;
    Source source;
  };

  template <class... Text>
  [[noreturn]] static void refuse(const Text&... text) {
    fail(ErrorCode::invalid_argument, "cannot write GGUF: ", text...);
  }

  std::vector<Entry>::iterator find_entry(std::string_view key) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [key](const Entry& entry) { return entry.key == key; });
  }

  template <class T>
  static std::uint64_t checked_alignment(const T& value) {
    std::optional<std::uint64_t> alignment;
    if constexpr (std::is_same_v<T, GgufValue>) {
      alignment = value.template try_as<std::uint64_t>();
    } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      alignment = gguf::convert_number<std::uint64_t>(value);
    }
    if (!alignment || !gguf::is_valid_alignment(*alignment)) {
      refuse(gguf::kAlignmentKey, " must be a power of two from 8 to ", gguf::kHighestAlignment);
    }
    return *alignment;
  }

  std::uint64_t checked_bytes(const std::string& name, std::uint32_t type_id,
                              const std::vector<std::int64_t>& shape) const {
    if (name.empty() || name.size() > gguf::kLongestTensorName) {
      refuse("a tensor's name must have 1 to ", gguf::kLongestTensorName, " bytes, not ",
             name.size());
    }
    if (names_.count(name) != 0) refuse("tensor ", gguf::quoted(name), " was added before");
    const gguf::TensorType* type = gguf::find_tensor_type(type_id);
    if (type == nullptr) refuse("tensor ", gguf::quoted(name), " has unknown type ", type_id);
    if (shape.empty() || shape.size() > gguf::kMostDimensions) {
      refuse("tensor ", gguf::quoted(name), " has ", shape.size(), " dimensions, not 1 to ",
             gguf::kMostDimensions);
    }
    if (*std::min_element(shape.begin(), shape.end()) < 1) {
      refuse("tensor ", gguf::quoted(name), " has a dimension below 1");
    }
    if (shape.front() % type->block_size != 0) {
      refuse("tensor ", gguf::quoted(name), " has ", shape.front(), " columns, not a multiple of ",
             type->name, "'s block of ", type->block_size);
    }
    const auto bytes = gguf::checked_tensor_bytes(*type, shape);
    if (!bytes) refuse("tensor ", gguf::quoted(name), " has more elements than can be addressed");
    return static_cast<std::uint64_t>(*bytes);
  }

  static void check_size(const std::string& name, std::uint64_t wanted, std::uint64_t given) {
    if (given != wanted) {
      refuse("tensor ", gguf::quoted(name), " needs ", wanted, " bytes, but ", given, " are given");
    }
  }

  /// Everything before the tensors' bytes, without padding.
  gguf::Bytes head() const {
    gguf::Bytes out(gguf::kMagic.begin(), gguf::kMagic.end());
    gguf::append_scalar(out, gguf::kHighestVersion);
    gguf::append_scalar(out, static_cast<std::uint64_t>(tensors_.size()));
    gguf::append_scalar(out, static_cast<std::uint64_t>(entries_.size()));
    for (const Entry& entry : entries_) {
      gguf::append_text(out, entry.key);
      out.insert(out.end(), entry.value.begin(), entry.value.end());
    }
    std::uint64_t offset = 0;
    for (const PlannedTensor& tensor : tensors_) {
      gguf::append_text(out, tensor.name);
      gguf::append_scalar(out, static_cast<std::uint32_t>(tensor.shape.size()));
      for (const std::int64_t size : tensor.shape) gguf::append_scalar(out, size);
      gguf::append_scalar(out, tensor.type_id);
      gguf::append_scalar(out, offset);
      offset += gguf::align_up(tensor.bytes, alignment_);
    }
    return out;
  }

  void emit(const Sink& sink) const {
    const gguf::Bytes padding(static_cast<std::size_t>(alignment_), std::byte{0});
    const auto pad = [&](std::uint64_t written) {
      const auto count = static_cast<std::size_t>(gguf::align_up(written, alignment_) - written);
      if (count != 0) sink(std::span(padding).first(count));
    };
    const gguf::Bytes start = head();
    sink(start);
    if (!tensors_.empty()) pad(start.size());
    for (const PlannedTensor& tensor : tensors_) {
      std::uint64_t given = 0;
      tensor.source([&](std::span<const std::byte> bytes) {
        given += bytes.size();
        // Checked before it is written: an endless source must not fill the disk.
        if (given > tensor.bytes) check_size(tensor.name, tensor.bytes, given);
        sink(bytes);
      });
      check_size(tensor.name, tensor.bytes, given);
      pad(tensor.bytes);
    }
  }

  std::vector<Entry> entries_;
  std::vector<PlannedTensor> tensors_;
  std::set<std::string, std::less<>> names_;
  std::uint64_t alignment_ = gguf::kDefaultAlignment;
};

}  // namespace ingot
