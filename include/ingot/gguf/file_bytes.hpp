// The bytes of one file, mapped read-only or copied, and the owner that keeps them alive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <span>

#include "ingot/export.hpp"

namespace ingot::gguf {

/// Immutable bytes with an owner. The first byte lies on at least a 64-byte border, so a tensor's
/// alignment within the file holds in memory too. Copying bytes is complete in this header; what
/// asks the operating system is in the library.
class FileBytes {
 public:
  /// Maps a regular file read-only (MAP_PRIVATE): pages are read when touched. A file that another
  /// program shortens while it is mapped is outside what can be checked: touching the missing pages
  /// raises SIGBUS. Error io when it cannot be opened or mapped, bad_file when it is empty or no
  /// file. In the library.
  INGOT_API static FileBytes map(const std::filesystem::path& path);

  /// Reads a regular file into memory of its own, which nothing outside can change or take away.
  /// Error io also when the file is shortened meanwhile; out_of_memory before anything is read when
  /// it has more than `memory_limit` bytes (0: than are available). In the library.
  INGOT_API static FileBytes read(const std::filesystem::path& path,
                                  std::uint64_t memory_limit = 0);

  /// Copies the bytes: the caller's buffer may go away.
  static FileBytes copy(std::span<const std::byte> bytes) {
    FileBytes result;
    if (bytes.empty()) return result;
    constexpr std::align_val_t kBorder{64};
    void* storage = ::operator new(bytes.size(), kBorder);
    result.owner_.reset(storage, [](void* held) { ::operator delete(held, kBorder); });
    std::memcpy(storage, bytes.data(), bytes.size());
    result.bytes_ = {static_cast<const std::byte*>(storage), bytes.size()};
    return result;
  }

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Whether the bytes are the file's own pages.
  bool is_mapped() const { return release_ != nullptr; }

  /// Lets go of the memory behind a part of a mapped file; it is read again when next touched.
  void release(std::span<const std::byte> part) const {
    if (release_ != nullptr) release_(bytes_, part);
  }

 private:
  using Release = void (*)(std::span<const std::byte> whole, std::span<const std::byte> part);
  static FileBytes from_mapping(void* address, std::size_t length, Release release);

  std::shared_ptr<void> owner_;
  std::span<const std::byte> bytes_;
  /// Lets go of a part of the whole; null when the bytes are a copy. A pointer, set by who mapped
  /// the file, so that a program that only parses bytes links nothing.
  Release release_ = nullptr;
};

}  // namespace ingot::gguf
