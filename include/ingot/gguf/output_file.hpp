// A file that appears under its name only when it is complete.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "ingot/error.hpp"

namespace ingot::gguf {

/// Writes to a temporary file in the same folder; commit() gives it its name. Without commit (an
/// error on the way) the temporary file is removed and what had the name before is untouched.
class OutputFile {
 public:
  /// Error io when the folder cannot be written, or when the name belongs to something that is no
  /// regular file: replacing a device or a pipe is never what was meant.
  explicit OutputFile(const std::filesystem::path& path) : path_(path) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      fail(ErrorCode::io, path.string(), ": not a regular file; give the name of a new file");
    }
    constexpr int kAttempts =
        1000;  // files left behind by a killed program with this process number
    for (int i = 0; i < kAttempts && number_ < 0; ++i) {
      temporary_ = path;
      temporary_ += detail::concat(".incomplete-", ::getpid(), '-', i);
      number_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (number_ < 0 && errno != EEXIST) break;
    }
    if (number_ < 0) refuse("create", errno);
    buffer_.reserve(kBufferBytes);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (number_ >= 0) ::close(number_);
    if (!committed_) ::unlink(temporary_.c_str());
  }

  /// Error io when the disk is full or fails.
  void write(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() >= kBufferBytes) {
      write_through(bytes);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  }

  /// Waits until the bytes are on the disk, then replaces whatever had the name.
  void commit() {
    flush();
    if (::fsync(number_) != 0) refuse("write", errno);
    const int closing = number_;
    number_ = -1;
    if (::close(closing) != 0) refuse("write", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) refuse("replace", errno);
    committed_ = true;
  }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 18U;

  void flush() {
    write_through(buffer_);
    buffer_.clear();
  }

  void write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(number_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      total_ += static_cast<std::uint64_t>(written);
    }
  }

  [[noreturn]] void refuse(const char* action, int code) const {
    fail(ErrorCode::io, "cannot ", action, " '", path_.string(), "' (", total_,
         " bytes written so far): ", std::generic_category().message(code),
         "; check the folder, its permissions and the free space");
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int number_ = -1;
  bool committed_ = false;
  std::uint64_t total_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace ingot::gguf
