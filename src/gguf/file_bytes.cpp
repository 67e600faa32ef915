#include "ingot/gguf/file_bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>

#include "ingot/error.hpp"

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

}  // namespace

FileBytes FileBytes::map(const std::filesystem::path& path) {
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
    fail(ErrorCode::bad_file, "'", name, "' is not a regular file; give the path of a .gguf file");
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
  result.release_ = release_mapped;
  result.owner_.reset(address, [length](void* mapped) { ::munmap(mapped, length); });
  return result;
}

}  // namespace ingot::gguf
