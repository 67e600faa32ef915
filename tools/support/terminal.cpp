#include "support/terminal.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "ingot/error.hpp"
#include "ingot/printable.hpp"

namespace ingot::tools {

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorCode::io,
           "cannot write to standard output: ", std::generic_category().message(errno),
           "; check where it leads and the free space");
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void note(std::string_view line) {
  const std::string text = printable(line) + "\n";
  std::fputs(text.c_str(), stderr);
}

void warn(const std::vector<std::string>& warnings) {
  for (std::string warning : warnings) {
    std::replace_if(
        warning.begin(), warning.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    note("ingot: warning: " + warning);
  }
}

bool stderr_is_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

LineEnd::LineEnd() : shared_(stderr_is_terminal()) {
  struct stat out {};
  struct stat err {};
  if (::fstat(STDOUT_FILENO, &out) == 0 && ::fstat(STDERR_FILENO, &err) == 0) {
    shared_ = shared_ || (out.st_dev == err.st_dev && out.st_ino == err.st_ino);
  }
}

void LineEnd::finish() {
  if (shared_ && open_) std::fputc('\n', stderr);
  open_ = false;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fixed(value, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string fixed(double value, int digits) {
  std::array<char, 400> text{};  // the largest double has 309 digits before the point
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

void ProgressBar::update(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (!drawing_ || total == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (visible_ && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  visible_ = true;
  constexpr std::uint64_t kWidth = 30;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto full = static_cast<std::size_t>(share * kWidth);
  std::string line = "\r";
  line.append(what).append(" [").append(full, '#').append(kWidth - full, '.').append("] ");
  line.append(fixed(share * 100, 0)).append("%\x1b[K");
  std::fputs(line.c_str(), stderr);
}

void ProgressBar::clear() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
  visible_ = false;
}

}  // namespace ingot::tools
