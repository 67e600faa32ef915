// A GGUF model file: every metadata key and every tensor, read in place from the mapped file.
// Complete in headers but for open(). Split models (name-00001-of-00003.gguf) open as one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/gguf/file_bytes.hpp"
#include "ingot/gguf/parse.hpp"
#include "ingot/gguf/tensor.hpp"
#include "ingot/gguf/value.hpp"

namespace ingot {

/// How a file is opened.
struct OpenOptions {
  /// True: the file is mapped. It is read as it is used, shares its memory with every process that
  /// has it open, and can be given back page by page. But its bytes stay the file's: when another
  /// program shortens it, or its disk or network goes away, the process gets the signal SIGBUS,
  /// which no library can turn into an Error. Replacing a file by renaming another over it, as
  /// download tools and OutputFile do, is harmless.
  /// False: all bytes are read at once into memory of this process. Nothing that happens to the
  /// file later matters; it costs that memory (MemoryPlan::file_bytes) and the time to read it all.
  bool map = true;
  /// With map = false: bytes that may be taken; 0: what is available.
  std::uint64_t memory_limit = 0;
};

/// An opened model, immutable. Values, tensors and the views they give out are valid while it is
/// held. Whatever the file's bytes are, opening either throws an Error or yields a file whose every
/// access stays in bounds, with memory and time bounded by a small multiple of the files' size. The
/// bytes are the mapped file's own, unless OpenOptions say otherwise.
class GgufFile {
 public:
  /// Maps the file (versions 2 and 3, little-endian) and, when it is the first of a split model,
  /// all further parts beside it. Error io, bad_file or unsupported, naming the file and what to
  /// do; out_of_memory when the options ask for a copy that does not fit.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path,
                                              const OpenOptions& options = {}) try {
    std::shared_ptr<GgufFile> file(new GgufFile(path.string()));
    const std::uint64_t parts = file->add_first(file->bytes_at(path, options));
    file->part_paths_.push_back(file->path_);
    if (parts > 1) {
      const SplitName split(path, parts);
      for (std::uint64_t i = 1; i < parts; ++i) file->add_part(split.part(i), i, parts, options);
      file->check_tensor_total();
    }
    file->index_tensors();
    return file;
  } catch (...) {
    detail::rethrow_at_border("GgufFile::open");
  }

  /// Reads a file from memory; the bytes are copied. `name` stands for the path in messages. A
  /// split model cannot be read this way: Error unsupported.
  static std::shared_ptr<const GgufFile> from_bytes(std::span<const std::byte> bytes,
                                                    std::string name) try {
    std::shared_ptr<GgufFile> file(new GgufFile(std::move(name)));
    const std::uint64_t parts = file->add_first(gguf::FileBytes::copy(bytes));
    if (parts > 1) {
      fail(ErrorCode::unsupported, "'", file->path_, "': one of ", parts,
           " parts of a split model cannot be read from memory; open it by its path");
    }
    file->index_tensors();
    return file;
  } catch (...) {
    detail::rethrow_at_border("GgufFile::from_bytes");
  }

  /// The format's version: 2 or 3.
  std::uint32_t version() const { return version_; }

  /// The path (of the first part), or the name given to from_bytes.
  const std::string& path() const { return path_; }

  /// Bytes of it that lie in memory of this process instead of a mapped file.
  std::uint64_t copied_bytes() const { return copied_bytes_; }

  /// The paths of all files it was opened from, in the order of the parts; none for bytes.
  const std::vector<std::string>& part_paths() const { return part_paths_; }

  /// Whether `path` leads to one of them, under whatever name: writing there would replace the
  /// model.
  bool is_part(const std::filesystem::path& path) const try {
    return std::any_of(part_paths_.begin(), part_paths_.end(), [&](const std::string& part) {
      std::error_code no_such_file;
      return std::filesystem::equivalent(part, path, no_such_file);
    });
  } catch (...) {
    detail::rethrow_at_border("GgufFile::is_part");
  }

  /// Keys and values in file order (of the first part, which carries a split model's metadata).
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }

  /// The value of a key, or nullptr.
  const GgufValue* find(std::string_view key) const {
    const auto* entry = gguf::find_by_name(metadata_, keys_in_order_, gguf::key_of, key);
    return entry != nullptr ? &entry->second : nullptr;
  }

  /// The key's value as T (see GgufValue::try_as); nothing when the key is absent. Error bad_file,
  /// naming file and key, when the value is of another kind or does not fit in a T.
  template <class T>
  std::optional<T> try_get(std::string_view key) const try {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    auto converted = value->try_as<T>();
    if (!converted) {
      fail(ErrorCode::bad_file, "'", path_, "': metadata key ", gguf::quoted(key), " is ",
           value->describe(), ", which is not ", kind_of<T>());
    }
    return converted;
  } catch (...) {
    detail::rethrow_at_border("GgufFile::try_get");
  }

  /// As try_get, but an absent key is an Error bad_file too.
  template <class T>
  T get(std::string_view key) const {
    auto value = try_get<T>(key);
    if (!value) {
      fail(ErrorCode::bad_file, "'", path_, "': metadata key ", gguf::quoted(key),
           " is missing; convert the model again with a current tool");
    }
    return *std::move(value);
  }

  /// As try_get, with `fallback` for an absent key.
  template <class T>
  T get_or(std::string_view key, T fallback) const {
    auto value = try_get<T>(key);
    return value ? *std::move(value) : std::move(fallback);
  }
  std::string get_or(std::string_view key, const char* fallback) const {
    return get_or(key, std::string(fallback));
  }

  /// The tensors in file order, part after part.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  /// The tensor of that name, or nullptr.
  const GgufTensor* find_tensor(std::string_view name) const {
    return gguf::find_by_name(tensors_, tensors_in_order_, gguf::name_of, name);
  }

  /// The tensor of that name. Error bad_file when there is none.
  const GgufTensor& tensor(std::string_view name) const {
    const GgufTensor* found = find_tensor(name);
    if (found == nullptr) {
      fail(ErrorCode::bad_file, "'", path_, "': tensor ", gguf::quoted(name),
           " is missing; the file is incomplete or of another architecture than it says");
    }
    return *found;
  }

  /// Lets go of the memory that a mapped file takes for `data` (a tensor's, or a part of it), for a
  /// caller who has copied it. The bytes stay readable: the system fetches them again.
  void release(std::span<const std::byte> data) const {
    for (const gguf::FileBytes& part : parts_) {
      const std::span<const std::byte> all = part.bytes();
      const std::less_equal<const std::byte*> up_to;
      if (up_to(all.data(), data.data()) &&
          up_to(data.data() + data.size(), all.data() + all.size())) {
        part.release(data);
      }
    }
  }

  /// Size of the file, or of all parts together, in bytes.
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  /// Where the parts of a split model lie: prefix-00001-of-0000N.gguf.
  class SplitName {
   public:
    /// `path` is the first of `parts`. Error bad_file when its name does not say so.
    SplitName(const std::filesystem::path& path, std::uint64_t parts)
        : folder_(path.parent_path()), parts_(parts) {
      const std::string name = path.filename().string();
      const std::string ending = suffix(0);
      if (name.size() < ending.size() ||
          name.compare(name.size() - ending.size(), ending.size(), ending) != 0) {
        fail(ErrorCode::bad_file, "'", path.string(), "' is the first of ", parts,
             " parts of a split model, but its name does not end in '", ending,
             "'; give the parts the names they were published with");
      }
      prefix_ = name.substr(0, name.size() - ending.size());
    }

    std::filesystem::path part(std::uint64_t index) const {
      return folder_ / (prefix_ + suffix(index));
    }

   private:
    std::string suffix(std::uint64_t index) const {
      return detail::concat('-', five_digits(index + 1), "-of-", five_digits(parts_), ".gguf");
    }

    static std::string five_digits(std::uint64_t number) {
      std::string digits = std::to_string(number);
      if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
      return digits;
    }

    std::filesystem::path folder_;
    std::string prefix_;
    std::uint64_t parts_;
  };

  explicit GgufFile(std::string path) : path_(std::move(path)) {}

  /// Reads the first part; returns how many parts the model has.
  std::uint64_t add_first(gguf::FileBytes bytes) {
    gguf::Part part = gguf::Parser(bytes.bytes(), path_).parse();
    version_ = part.version;
    metadata_ = std::move(part.metadata);
    keys_in_order_ = gguf::order_by_name(metadata_, gguf::key_of);
    hold(std::move(bytes), std::move(part.tensors));
    // A joined model keeps the key with the value 0.
    const auto parts = get_or<std::uint64_t>("split.count", 0);
    if (parts <= 1) return 1;
    const auto number = get_or<std::uint64_t>("split.no", 0);
    if (number >= parts) {
      fail(ErrorCode::bad_file, "'", path_, "': split.no is ", number, ", but split.count is ",
           parts);
    }
    if (number != 0) {
      fail(ErrorCode::bad_file, "'", path_, "' is part ", number + 1, " of ", parts,
           " of a split model; open its first part, whose name ends in -00001-of-0000N.gguf");
    }
    return parts;
  }

  gguf::FileBytes bytes_at(const std::filesystem::path& path, const OpenOptions& options) const {
    if (options.map) return gguf::FileBytes::map(path);
    // A limit of 0 would mean none: the next part is refused for its size.
    const std::uint64_t taken = std::min(copied_bytes_, options.memory_limit);
    const std::uint64_t left = options.memory_limit - taken;
    return gguf::FileBytes::read(path,
                                 options.memory_limit > 0 ? std::max<std::uint64_t>(left, 1) : 0);
  }

  void add_part(const std::filesystem::path& path, std::uint64_t index, std::uint64_t parts,
                const OpenOptions& options) {
    const std::string name = path.string();
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      fail(ErrorCode::io, "'", path_, "': part ", index + 1, " of ", parts,
           " is missing: expected '", name, "'; put all parts into one folder");
    }
    gguf::FileBytes bytes = bytes_at(path, options);
    gguf::Part part = gguf::Parser(bytes.bytes(), name).parse();
    check_part_key(part, name, "split.no", index);
    check_part_key(part, name, "split.count", parts);
    hold(std::move(bytes), std::move(part.tensors));
    part_paths_.push_back(name);
  }

  void check_part_key(const gguf::Part& part, const std::string& name, std::string_view key,
                      std::uint64_t wanted) const {
    const auto entry = std::find_if(part.metadata.begin(), part.metadata.end(),
                                    [&](const auto& candidate) { return candidate.first == key; });
    const bool present = entry != part.metadata.end();
    if (present && entry->second.try_as<std::uint64_t>() == wanted) return;
    fail(ErrorCode::bad_file, "'", name, "' is not the part of '", path_,
         "' that its name says: ", key, " is ", present ? entry->second.describe() : "missing",
         ", expected ", wanted, "; download this part again");
  }

  void check_tensor_total() const {
    const auto wanted = get_or<std::uint64_t>("split.tensors.count", tensors_.size());
    if (wanted != tensors_.size()) {
      fail(ErrorCode::bad_file, "'", path_, "': its parts hold ", tensors_.size(), " tensors, but ",
           wanted, " belong to the model; the parts are of different models or incomplete");
    }
  }

  void hold(gguf::FileBytes bytes, std::vector<GgufTensor> tensors) {
    total_bytes_ += bytes.bytes().size();
    if (!bytes.is_mapped()) copied_bytes_ += bytes.bytes().size();
    parts_.push_back(std::move(bytes));
    std::move(tensors.begin(), tensors.end(), std::back_inserter(tensors_));
  }

  void index_tensors() {
    tensors_in_order_ = gguf::order_by_name(tensors_, gguf::name_of);
    if (const auto* twice = gguf::find_duplicate(tensors_, tensors_in_order_, gguf::name_of)) {
      fail(ErrorCode::bad_file, "'", path_, "': tensor ", gguf::quoted(*twice), " appears twice");
    }
  }

  /// What a caller asked for, in words for a message.
  template <class T>
  static std::string kind_of() {
    if constexpr (gguf::kIsVector<T>) {
      return detail::concat("an array whose elements are each ", kind_of<typename T::value_type>());
    } else if constexpr (gguf::kIsText<T>) {
      return "a string";
    } else if constexpr (std::is_same_v<T, bool>) {
      return "a bool";
    } else if constexpr (std::is_integral_v<T>) {
      return detail::concat("a whole number from ", +std::numeric_limits<T>::min(), " to ",
                            +std::numeric_limits<T>::max());
    } else {
      return "a number";
    }
  }

  std::string path_;
  std::uint32_t version_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t copied_bytes_ = 0;
  std::vector<gguf::FileBytes> parts_;
  gguf::Metadata metadata_;
  std::vector<std::size_t> keys_in_order_;
  std::vector<GgufTensor> tensors_;
  std::vector<std::size_t> tensors_in_order_;
  std::vector<std::string> part_paths_;
};

}  // namespace ingot
