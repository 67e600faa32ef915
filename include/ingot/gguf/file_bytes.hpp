// The bytes of one file, mapped read-only or copied, and the owner that keeps them alive.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <system_error>

#include "ingot/error.hpp"

namespace ingot::gguf {

/// Immutable bytes with an owner. The first byte lies on at least a 64-byte border, so a tensor's
/// alignment within the file holds in memory too.
class FileBytes {
 public:
  /// Maps a regular file read-only (MAP_PRIVATE): pages are read when touched. A file that another
  /// program shortens while it is mapped is outside what can be checked: touching the missing pages
  /// raises SIGBUS. Error io when it cannot be opened or mapped, bad_file when it is empty or no
  /// file.
  static FileBytes map(const std::filesystem::path& path) {
    const std::string name = path.string();
    // O_NONBLOCK: opening a named pipe would otherwise wait for a writer.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) {
      fail(ErrorCode::io, "cannot open '", name, "': ", reason(errno),
           "; check the path and its permissions");
    }
    struct stat status {};
    if (::fstat(file.number, &status) != 0) {
      fail(ErrorCode::io, "cannot read the size of '", name, "': ", reason(errno));
    }
    if (!S_ISREG(status.st_mode)) {
      fail(ErrorCode::bad_file, "'", name,
           "' is not a regular file; give the path of a .gguf file");
    }
    if (status.st_size <= 0) {
      fail(ErrorCode::bad_file, "'", name, "' is empty; download it again");
    }
    const auto size = static_cast<std::uintmax_t>(status.st_size);
    if (size > static_cast<std::uintmax_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
      fail(ErrorCode::unsupported, "'", name, "' (", size, " bytes) exceeds the address space");
    }
    const auto length = static_cast<std::size_t>(size);
    void* address = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.number, 0);
    if (address == MAP_FAILED) {
      fail(ErrorCode::io, "cannot map '", name, "' (", size, " bytes): ", reason(errno));
    }
    FileBytes result;
    result.bytes_ = {static_cast<const std::byte*>(address), length};
    result.is_mapped_ = true;
    result.owner_.reset(address, [length](void* mapped) { ::munmap(mapped, length); });
    return result;
  }

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

  /// Lets go of the memory behind a part of a mapped file; it is read again when next touched.
  void release(std::span<const std::byte> part) const {
    if (!is_mapped_) return;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    // Whole pages only, counted from the file's start: what lies around them is in use.
    const auto begin = static_cast<std::size_t>(part.data() - bytes_.data());
    const std::size_t first = (begin + page - 1) / page * page;
    const std::size_t last = (begin + part.size()) / page * page;
    if (first >= last) return;
    auto* address = const_cast<std::byte*>(bytes_.data()) + first;
    (void)::madvise(address, last - first, MADV_DONTNEED);
  }

 private:
  struct Descriptor {
    int number;
    explicit Descriptor(int opened) : number(opened) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
  };

  static std::string reason(int code) { return std::generic_category().message(code); }

  std::shared_ptr<void> owner_;
  bool is_mapped_ = false;
  std::span<const std::byte> bytes_;
};

}  // namespace ingot::gguf
