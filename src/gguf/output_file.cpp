#include "ingot/gguf/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "ingot/error.hpp"

namespace ingot::gguf {

struct OutputFile::Impl {
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 18U;

  explicit Impl(const std::filesystem::path& wanted) : path(wanted) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      fail(ErrorCode::io, path.string(), ": not a regular file; give the name of a new file");
    }
    constexpr int kAttempts =
        1000;  // files left behind by a killed program with this process number
    for (int i = 0; i < kAttempts && number < 0; ++i) {
      temporary = path;
      temporary += detail::concat(".incomplete-", ::getpid(), '-', i);
      number = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (number < 0 && errno != EEXIST) break;
    }
    if (number < 0) refuse("create", errno);
    buffer.reserve(kBufferBytes);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (number >= 0) ::close(number);
    if (!committed) ::unlink(temporary.c_str());
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
    const int closing = number;
    number = -1;
    if (::close(closing) != 0) refuse("write", errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) refuse("replace", errno);
    committed = true;
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
  std::filesystem::path temporary;
  int number = -1;
  bool committed = false;
  std::uint64_t total = 0;
  std::vector<std::byte> buffer;
};

OutputFile::OutputFile(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}
OutputFile::~OutputFile() = default;

void OutputFile::write(std::span<const std::byte> bytes) {
  impl_->write(bytes);
}

void OutputFile::commit() {
  impl_->commit();
}

}  // namespace ingot::gguf
