// What the program writes for people and scripts: stdout with every failure noticed, and a progress
// bar that is drawn on a terminal only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::tools {

/// Writes to standard output, unbuffered. Error io when it cannot (a full disk, a closed pipe).
void print(std::string_view text);

/// Writes a line to stderr, made printable(); failures are ignored, since there is nowhere left to
/// report them.
void note(std::string_view line);

/// Writes each warning as a line to stderr, whatever it has in it.
void warn(const std::vector<std::string>& warnings);

/// Whether stderr is a terminal.
bool stderr_is_terminal();

/// Ends the last line of a text on standard output, before messages follow on stderr: on a terminal
/// and in a file that both go to (2>&1) they would share it. What goes to standard output alone is
/// not touched. The destructor does so for messages about a failure.
class LineEnd {
 public:
  LineEnd();
  ~LineEnd() { finish(); }
  LineEnd(const LineEnd&) = delete;
  LineEnd& operator=(const LineEnd&) = delete;

  /// What was printed.
  void saw(std::string_view text) {
    if (!text.empty()) open_ = text.back() != '\n';
  }
  void finish();

 private:
  bool shared_;
  bool open_ = false;
};

/// Bytes for people: "14.1 MiB".
std::string human_bytes(std::uint64_t bytes);

/// printf's "%.*f".
std::string fixed(double value, int digits);

/// A bar on stderr, redrawn at most ten times a second; nothing when stderr is no terminal.
class ProgressBar {
 public:
  ProgressBar() : drawing_(stderr_is_terminal()) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(std::string_view what, std::uint64_t done, std::uint64_t total);
  /// Takes the bar off the screen.
  void clear();

 private:
  bool drawing_;
  bool visible_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace ingot::tools
