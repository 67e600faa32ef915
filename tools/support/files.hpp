// The files that commands read and write: texts, raw arrays of ids (.i32) and of floats (.f32).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/gguf.hpp"
#include "ingot/tokenizer.hpp"

namespace ingot::tools {

/// A whole file, or standard input for "-". Error io naming it.
std::string read_text(const std::string& path);

/// Little-endian int32 ids, each below `vocabulary_size`. Error bad_file for a size that is not a
/// multiple of 4, for no ids at all, and for an id outside the vocabulary (with its place).
std::vector<TokenId> read_ids(const std::string& path, std::int64_t vocabulary_size);

/// A file of little-endian float32 that is written as results come and gets its name when it is
/// complete; a device or pipe is written as it stands. Error io when it cannot be written.
class FloatFile {
 public:
  explicit FloatFile(const std::string& path);
  ~FloatFile();
  FloatFile(FloatFile&&) noexcept;
  FloatFile& operator=(FloatFile&&) noexcept;

  void write(std::span<const float> values);
  void commit();

 private:
  class Sink;
  class RegularFile;
  class Stream;
  std::unique_ptr<Sink> sink_;
};

/// Where writing to `path` leads: the target of a link, so that links stay. Error io for a folder.
std::filesystem::path output_target(const std::string& path);

/// A file that a command reads, and what its command line calls it.
struct InputFile {
  std::string argument;  ///< "MODEL", "--tokens"
  std::string path;      ///< "-": standard input
};

/// UsageError if writing to `path`, which the command line calls `argument`, would replace one of
/// `inputs`: the same file under the same name, another name (a hard link) or through links.
void require_other_file(const std::string& argument, const std::string& path,
                        std::span<const InputFile> inputs);

/// The files that a model was read from, all splits of it.
std::vector<InputFile> model_files(const GgufFile& file, const std::string& argument = "MODEL");

/// Whether both paths lead to one file; files that do not exist yet are compared by their names,
/// links resolved.
bool is_same_file(const std::string& a, const std::string& b);

/// Whether `path` exists and is neither a file nor a folder (/dev/stdout, a pipe).
bool is_stream(const std::filesystem::path& path);

}  // namespace ingot::tools
