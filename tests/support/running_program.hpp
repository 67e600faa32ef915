// The ingot program while it runs: looked at, sent signals, waited for.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/run_program.hpp"

namespace ingot::test {

class RunningProgram {
 public:
  /// Starts `ingot arguments...`; stdout and stderr go to files in `folder`. `ignored`: signals
  /// that are ignored from the start, as nohup does.
  RunningProgram(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                 std::initializer_list<int> ignored = {})
      : out_(folder / "program.out"), err_(folder / "program.err") {
    const std::string program = ingot_program().string();
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_.c_str(), flags, 0644);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_.c_str(), flags, 0644);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigfillset(&defaults);  // whatever the test runner ignores
    for (const int signal : ignored) sigdelset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    std::vector<void (*)(int)> before;
    for (const int signal : ignored) before.push_back(::signal(signal, SIG_IGN));
    if (::posix_spawn(&child_, program.c_str(), &actions, &attributes, argv.data(), environ) != 0) {
      ADD_FAILURE() << "cannot start " << program;
      child_ = -1;
    }
    std::size_t i = 0;
    for (const int signal : ignored) ::signal(signal, before[i++]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;
  ~RunningProgram() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    wait();
  }

  /// Waits until `condition` holds or the program ends; fails after a minute.
  bool wait_until(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000 && child_ > 0; ++i) {
      if (condition()) return true;
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == child_) {
        return condition();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  /// Whether it has mapped a file of that path.
  bool has_mapped(const std::filesystem::path& path) const {
    return proc_text("maps").find(path.string()) != std::string::npos;
  }

  /// Whether it has a file open whose link in /proc/PID/fd begins with `prefix` (a file without a
  /// name reads "FOLDER/#INODE (deleted)").
  bool has_open(const std::string& prefix) const {
    std::error_code ended;
    const auto folder = std::filesystem::path("/proc") / std::to_string(child_) / "fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder, ended)) {
      const auto target = std::filesystem::read_symlink(entry.path(), ended);
      if (!ended && target.string().rfind(prefix, 0) == 0) return true;
    }
    return false;
  }

  void send(int signal) const { ::kill(child_, signal); }

  /// The exit code; 128 + number if a signal ended it.
  int wait() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string err() const { return text_of(err_); }

 private:
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::string proc_text(const std::string& name) const {
    return text_of(std::filesystem::path("/proc") / std::to_string(child_) / name);
  }

  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t child_ = -1;
};

}  // namespace ingot::test
