// A file that appears under its name only when it is complete. In the library.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "ingot/export.hpp"

namespace ingot::gguf {

/// Whether what is being written has a name meanwhile.
enum class Unfinished {
  unnamed,  ///< none where the system can do so (O_TMPFILE, /proc), else as `named`
  named,    ///< NAME.incomplete-PID-N beside the target
};

/// Writes to a temporary file in the same folder; commit() gives it its name. Without commit (an
/// error on the way, or the end of the process by whatever signal) an unnamed temporary file is
/// gone by itself. A named one is removed by the destructor, and stays if the process is killed.
class INGOT_API OutputFile {
 public:
  /// Error io when the folder cannot be written, or when the name belongs to something that is no
  /// regular file: replacing a device or a pipe is never what was meant.
  explicit OutputFile(const std::filesystem::path& path,
                      Unfinished unfinished = Unfinished::unnamed);
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

/// Removes the named temporary files of this process's OutputFiles. For a program that is about to
/// leave without destructors; may be called from a signal handler.
INGOT_API void remove_unfinished_files() noexcept;

}  // namespace ingot::gguf
