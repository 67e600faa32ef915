#include "ingot/gguf/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "ingot/error.hpp"
#include "src/gguf/unfinished_name.hpp"

namespace ingot::gguf {
namespace {

/// Files left behind by a killed program with this process's number.
constexpr int kAttempts = 1000;
/// Bytes of the target's name in a temporary one: file systems take 255, and the rest needs some.
constexpr std::size_t kLongestStem = 200;

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path();
}

}  // namespace

struct OutputFile::Impl {
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 18U;

  Impl(const std::filesystem::path& wanted, Unfinished unfinished) : path(wanted) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      fail(ErrorCode::io, path.string(), ": not a regular file; give the name of a new file");
    }
    buffer.reserve(kBufferBytes);
    if (unfinished == Unfinished::unnamed) open_unnamed();
    if (number < 0) open_named();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (number >= 0) ::close(number);
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }

  /// Leaves `number` negative where the file system or the system cannot do it.
  void open_unnamed() {
#if defined(O_TMPFILE)
    const std::filesystem::path folder = folder_of(path);
    number = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (number < 0) return;
    // The one way to a name that needs no privilege.
    std::snprintf(descriptor_link.data(), descriptor_link.size(), "/proc/self/fd/%d", number);
    if (::access(descriptor_link.data(), F_OK) == 0) return;
    ::close(number);
    number = -1;
    descriptor_link.front() = '\0';
#endif
  }

  void open_named() {
    for (int i = 0; i < kAttempts && number < 0; ++i) {
      temporary = temporary_name(i);
      number = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (number < 0 && errno != EEXIST) break;
    }
    if (number < 0) refuse("create", errno);
    unfinished_name.set(temporary.c_str());
  }

  std::filesystem::path temporary_name(int attempt) const {
    return folder_of(path) / detail::concat(path.filename().string().substr(0, kLongestStem),
                                            ".incomplete-", ::getpid(), '-', attempt);
  }

  void write(std::span<const std::byte> bytes) {
    if (buffer.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() >= kBufferBytes) {
      write_through(bytes);
    } else {
      buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    }
  }

  void commit() {
    flush();
    if (::fsync(number) != 0) refuse("write", errno);
    const bool in_place = descriptor_link.front() != '\0' && link_in_place();
    const int closing = number;
    number = -1;
    if (::close(closing) != 0) refuse("write", errno);
    if (in_place) return;
    if (::rename(temporary.c_str(), path.c_str()) != 0) refuse("replace", errno);
    unfinished_name.clear();
    temporary.clear();
  }

  /// Gives the unnamed file its own name, or a temporary one where that is taken: only a rename
  /// replaces a name without a moment in which it means nothing. True for its own name.
  bool link_in_place() {
    if (link_as(path)) return true;
    for (int i = 0; i < kAttempts && errno == EEXIST; ++i) {
      temporary = temporary_name(i);
      unfinished_name.set(temporary.c_str());
      if (link_as(temporary)) return false;
      unfinished_name.clear();
    }
    const int reason = errno;
    temporary.clear();
    refuse("name", reason);
  }

  bool link_as(const std::filesystem::path& name) const {
    return ::linkat(AT_FDCWD, descriptor_link.data(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) ==
           0;
  }

  void flush() {
    write_through(buffer);
    buffer.clear();
  }

  void write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(number, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      total += static_cast<std::uint64_t>(written);
    }
  }

  [[noreturn]] void refuse(const char* action, int code) const {
    fail(ErrorCode::io, "cannot ", action, " '", path.string(), "' (", total,
         " bytes written so far): ", std::generic_category().message(code),
         "; check the folder, its permissions and the free space");
  }

  std::filesystem::path path;
  std::filesystem::path temporary;           ///< empty while there is none
  internal::UnfinishedName unfinished_name;  ///< the same, for a signal handler
  std::array<char, 32> descriptor_link{};    ///< of an unnamed file: what it gets a name by
  int number = -1;
  std::uint64_t total = 0;
  std::vector<std::byte> buffer;
};

OutputFile::OutputFile(const std::filesystem::path& path, Unfinished unfinished)
    : impl_(std::make_unique<Impl>(path, unfinished)) {}
OutputFile::~OutputFile() = default;

void OutputFile::write(std::span<const std::byte> bytes) {
  impl_->write(bytes);
}

void OutputFile::commit() {
  impl_->commit();
}

void remove_unfinished_files() noexcept {
  internal::UnfinishedName::remove_all();
}

}  // namespace ingot::gguf
