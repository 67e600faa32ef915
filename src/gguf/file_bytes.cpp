#include "ingot/gguf/file_bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "ingot/error.hpp"
#include "src/device/host_memory.hpp"

namespace ingot::gguf {
namespace {

struct Descriptor {
  int number;
  explicit Descriptor(int opened) : number(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

std::string reason(int code) {
  return std::generic_category().message(code);
}

void release_mapped(std::span<const std::byte> whole, std::span<const std::byte> part) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages only, counted from the file's start: what lies around them is in use.
  const auto begin = static_cast<std::size_t>(part.data() - whole.data());
  const std::size_t first = (begin + page - 1) / page * page;
  const std::size_t last = (begin + part.size()) / page * page;
  if (first >= last) return;
  auto* address = const_cast<std::byte*>(whole.data()) + first;
  (void)::madvise(address, last - first, MADV_DONTNEED);
}

/// A regular file that is not empty, opened for reading.
struct Opened {
  explicit Opened(const std::filesystem::path& path)
      // O_NONBLOCK: opening a named pipe would otherwise wait for a writer.
      : name(path.string()), file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    check();
  }

  std::string name;
  Descriptor file;
  std::size_t size = 0;

 private:
  void check();
};

void Opened::check() {
  if (file.number < 0) {
    fail(ErrorCode::io, "cannot open '", name, "': ", reason(errno),
         "; check the path and its permissions");
  }
  struct stat status {};
  if (::fstat(file.number, &status) != 0) {
    fail(ErrorCode::io, "cannot read the size of '", name, "': ", reason(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorCode::bad_file, "'", name, "' is not a regular file; give the path of a .gguf file");
  }
  if (status.st_size <= 0) {
    fail(ErrorCode::bad_file, "'", name, "' is empty; download it again");
  }
  const auto length = static_cast<std::uintmax_t>(status.st_size);
  if (length > static_cast<std::uintmax_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    fail(ErrorCode::unsupported, "'", name, "' (", length, " bytes) exceeds the address space");
  }
  size = static_cast<std::size_t>(length);
}

/// Reads exactly `bytes.size()` bytes.
void read_all(const Opened& opened, std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::span<std::byte> rest = bytes.subspan(done);
    const ssize_t count =
        ::pread(opened.file.number, rest.data(), rest.size(), static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::io, "cannot read '", opened.name, "': ", reason(errno));
    if (count == 0) {
      fail(ErrorCode::io, "'", opened.name, "' was shortened while it was read: ", done, " of ",
           bytes.size(), " bytes are left; restore it and try again");
    }
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

FileBytes FileBytes::map(const std::filesystem::path& path) {
  const Opened opened(path);
  const std::size_t length = opened.size;
  void* address = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, opened.file.number, 0);
  if (address == MAP_FAILED) {
    fail(ErrorCode::io, "cannot map '", opened.name, "' (", length, " bytes): ", reason(errno));
  }
  return from_mapping(address, length, release_mapped);
}

FileBytes FileBytes::read(const std::filesystem::path& path, std::uint64_t memory_limit) {
  const Opened opened(path);
  const std::size_t length = opened.size;
  const std::optional<std::uint64_t> available =
      memory_limit > 0 ? std::optional(memory_limit) : internal::host_memory().available;
  if (available && length > *available) {
    fail(ErrorCode::out_of_memory, "'", opened.name, "' has ", length, " bytes and ", *available,
         " are available: too few to hold it without a mapping; open it mapped");
  }
  void* address =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    fail(ErrorCode::out_of_memory, "the system refused the ", length, " bytes that '", opened.name,
         "' takes without a mapping; open it mapped");
  }
#if defined(MADV_HUGEPAGE)
  (void)::madvise(address, length, MADV_HUGEPAGE);
#endif
  FileBytes result = from_mapping(address, length, nullptr);
  read_all(opened, {static_cast<std::byte*>(address), length});
  // As a mapped file is: a stray write is a fault, not another model.
  (void)::mprotect(address, length, PROT_READ);
  return result;
}

FileBytes FileBytes::from_mapping(void* address, std::size_t length, Release release) {
  FileBytes result;
  result.owner_.reset(address, [length](void* mapped) { ::munmap(mapped, length); });
  result.bytes_ = {static_cast<const std::byte*>(address), length};
  result.release_ = release;
  return result;
}

}  // namespace ingot::gguf
