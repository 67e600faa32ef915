// A file that appears under its name only when it is complete. In the library.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "ingot/export.hpp"

namespace ingot::gguf {

/// Writes to a temporary file in the same folder; commit() gives it its name. Without commit (an
/// error on the way) the temporary file is removed and what had the name before is untouched.
class INGOT_API OutputFile {
 public:
  /// Error io when the folder cannot be written, or when the name belongs to something that is no
  /// regular file: replacing a device or a pipe is never what was meant.
  explicit OutputFile(const std::filesystem::path& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Error io when the disk is full or fails.
  void write(std::span<const std::byte> bytes);

  /// Waits until the bytes are on the disk, then replaces whatever had the name.
  void commit();

 private:
  struct INGOT_HIDDEN Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::gguf
