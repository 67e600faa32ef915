#include "support/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "commands.hpp"
#include "ingot/error.hpp"
#include "ingot/gguf/output_file.hpp"

namespace ingot::tools {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* action, const std::string& path, int code) {
  fail(ErrorCode::io, "cannot ", action, " '", path, "': ", std::generic_category().message(code));
}

/// Closes a file descriptor that this program opened.
class Descriptor {
 public:
  Descriptor(int number, bool owned) : number_(number), owned_(owned) {}
  ~Descriptor() {
    if (owned_ && number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
  bool owned_;
};

}  // namespace

std::string read_text(const std::string& path) {
  const bool standard = path == "-";
  const Descriptor file(standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC),
                        !standard);
  if (file.number() < 0) refuse("open", path, errno);
  std::string text;
  std::array<char, 1U << 16U> buffer{};
  while (true) {
    const ssize_t count = ::read(file.number(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("read", standard ? "standard input" : path, errno);
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

std::vector<TokenId> read_ids(const std::string& path, std::int64_t vocabulary_size) {
  const std::string bytes = read_text(path);
  if (bytes.size() % sizeof(TokenId) != 0) {
    fail(ErrorCode::bad_file, "'", path, "' has ", bytes.size(),
         " bytes, which is not a whole number of int32 ids");
  }
  if (bytes.empty()) fail(ErrorCode::bad_file, "'", path, "' has no token ids");
  std::vector<TokenId> ids(bytes.size() / sizeof(TokenId));
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary_size) {
      fail(ErrorCode::bad_file, "'", path, "': id ", ids[i], " at place ", i,
           " is outside the model's vocabulary of ", vocabulary_size);
    }
  }
  return ids;
}

bool is_stream(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

namespace {

// Where a name leads, also through links whose end does not exist yet: there a result would be
// written.
fs::path end_of_links(fs::path path, std::error_code& error) {
  constexpr int kMostLinks = 40;  // as Linux follows
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(path, error)); ++i) {
    const fs::path target = fs::read_symlink(path, error);
    if (error) return path;
    path = path.parent_path() / target;  // an absolute target replaces the whole
  }
  return fs::weakly_canonical(path, error);
}

}  // namespace

fs::path output_target(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    fail(ErrorCode::io, "cannot write '", path, "': it is a folder; give a file name");
  }
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  const fs::path target = end_of_links(path, error);
  return error ? fs::path(path) : target;
}

bool is_same_file(const std::string& a, const std::string& b) {
  const auto path = [](const std::string& name) { return name == "-" ? "/dev/stdin" : name; };
  std::error_code error;
  if (fs::equivalent(path(a), path(b), error)) return true;
  std::error_code error_a;
  std::error_code error_b;
  const fs::path resolved_a = end_of_links(path(a), error_a);
  const fs::path resolved_b = end_of_links(path(b), error_b);
  return !error_a && !error_b && resolved_a == resolved_b;
}

void require_other_file(const std::string& argument, const std::string& path,
                        std::span<const InputFile> inputs) {
  if (is_stream(path)) return;
  for (const InputFile& input : inputs) {
    if (!is_same_file(path, input.path)) continue;
    throw UsageError(argument + " '" + path + "' is the same file as " + input.argument + " '" +
                     input.path + "', which would be lost; give the name of another file");
  }
}

std::vector<InputFile> model_files(const GgufFile& file, const std::string& argument) {
  std::vector<InputFile> files;
  for (const std::string& path : file.part_paths()) files.push_back({argument, path});
  return files;
}

class FloatFile::Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  virtual void commit() = 0;
};

class FloatFile::RegularFile : public Sink {
 public:
  explicit RegularFile(const fs::path& path) : file_(path) {}
  void write(std::span<const std::byte> bytes) override { file_.write(bytes); }
  void commit() override { file_.commit(); }

 private:
  gguf::OutputFile file_;
};

class FloatFile::Stream : public Sink {
 public:
  explicit Stream(const std::string& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CLOEXEC), true) {
    if (file_.number() < 0) refuse("open", path, errno);
  }
  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.number(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write", path_, errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void commit() override {
    if (::close(file_.release()) != 0) refuse("write", path_, errno);
  }

 private:
  std::string path_;
  Descriptor file_;
};

FloatFile::FloatFile(const std::string& path) {
  if (is_stream(path)) {
    sink_ = std::make_unique<Stream>(path);
  } else {
    sink_ = std::make_unique<RegularFile>(output_target(path));
  }
}
FloatFile::~FloatFile() = default;
FloatFile::FloatFile(FloatFile&&) noexcept = default;
FloatFile& FloatFile::operator=(FloatFile&&) noexcept = default;

void FloatFile::write(std::span<const float> values) {
  sink_->write(std::as_bytes(values));
}

void FloatFile::commit() {
  sink_->commit();
}

}  // namespace ingot::tools
