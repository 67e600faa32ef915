#include "support/bus_error.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "commands.hpp"
#include "ingot/gguf/output_file.hpp"

namespace ingot::tools {
namespace {

// All of this runs inside the signal handler: no memory is taken and nothing is locked, only open,
// read, write, unlink and _exit are called.

void write_text(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::uintptr_t parse_hex(std::string_view& text) {
  std::uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    value = value * 16 + static_cast<std::uintptr_t>(digit);
    text.remove_prefix(1);
  }
  return value;
}

/// The path in a line of /proc/self/maps, "begin-end permissions offset device inode path", if
/// `address` lies in its range and it has one.
std::string_view path_if_contains(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = parse_hex(line);
  if (line.empty() || line.front() != '-') return {};
  line.remove_prefix(1);
  const std::uintptr_t end = parse_hex(line);
  if (address < begin || address >= end) return {};
  const std::size_t path = line.find('/');
  return path == std::string_view::npos ? std::string_view() : line.substr(path);
}

/// The file that is mapped at `address`, in `buffer`; empty if there is none, or no /proc.
std::string_view mapped_file(std::uintptr_t address, std::array<char, 8192>& buffer) {
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return {};
  std::size_t held = 0;
  while (true) {
    const ssize_t count = ::read(maps, buffer.data() + held, buffer.size() - held);
    if (count <= 0) break;
    held += static_cast<std::size_t>(count);
    std::string_view rest(buffer.data(), held);
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos;) {
      const std::string_view path = path_if_contains(rest.substr(0, end), address);
      if (!path.empty()) {
        ::close(maps);
        return path;
      }
      rest.remove_prefix(end + 1);
    }
    if (rest.size() == buffer.size()) rest = {};  // a line longer than any path: skipped
    std::memmove(buffer.data(), rest.data(), rest.size());
    held = rest.size();
  }
  ::close(maps);
  return {};
}

// Several threads may run into the hole at once; the first one speaks and ends the program.
std::atomic_flag is_reported = ATOMIC_FLAG_INIT;

void on_bus_error(int signal, siginfo_t* info, void*) {
  std::array<char, 8192> buffer;
  const std::string_view path =
      mapped_file(reinterpret_cast<std::uintptr_t>(info->si_addr), buffer);
  if (path.empty()) {
    ::signal(signal, SIG_DFL);  // a fault of the program: happens again, and ends it as usual
    return;
  }
  while (is_reported.test_and_set()) ::pause();
  write_text("ingot: '");
  write_text(path);
  write_text(
      "' lost bytes that were in use: it was shortened or replaced in place, or its disk failed; "
      "restore it and try again, and keep model files as they are while they run (or load them "
      "with --no-map)\n");
  gguf::remove_unfinished_files();
  ::_exit(kFailure);
}

}  // namespace

void report_bus_errors() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace ingot::tools
