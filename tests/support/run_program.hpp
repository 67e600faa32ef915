// Running the ingot program as a user's script would.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

extern char** environ;

namespace ingot::test {

struct ProgramResult {
  int exit_code = -1;  ///< 128 + number if a signal ended it
  std::string out;
  std::string err;

  /// Lines on stderr.
  std::size_t error_lines() const {
    return static_cast<std::size_t>(std::count(err.begin(), err.end(), '\n'));
  }
};

struct ProgramOptions {
  std::string in = {};              ///< standard input
  std::string out_file = {};        ///< where stdout goes instead of ProgramResult::out
  std::size_t interrupt_after = 0;  ///< send SIGINT when stdout has so many bytes; 0: never
};

inline std::filesystem::path ingot_program() {
  return std::filesystem::path(INGOT_BINARY_DIR) / "ingot";
}

/// Runs `ingot arguments...` to its end.
inline ProgramResult run_ingot(const std::vector<std::string>& arguments,
                               const ProgramOptions& options = {}) {
  ProgramResult result;
  const std::string program = ingot_program().string();
  if (!std::filesystem::exists(program)) {
    ADD_FAILURE() << program << " is not built (target ingot_tool)";
    return result;
  }
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);

  std::array<int, 2> in{};
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe(in.data()) != 0 || ::pipe(out.data()) != 0 || ::pipe(err.data()) != 0) {
    ADD_FAILURE() << "no pipes";
    return result;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  if (options.out_file.empty()) {
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.out_file.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0644);
  }
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  for (const int end : {in[0], in[1], out[0], out[1], err[0], err[1]}) {
    posix_spawn_file_actions_addclose(&actions, end);
  }
  // A test runner in the background may ignore SIGINT; the program must not inherit that.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int spawned =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const int end : {in[0], out[1], err[1]}) ::close(end);
  if (spawned != 0) {
    ADD_FAILURE() << "cannot start " << program;
    for (const int end : {in[1], out[0], err[0]}) ::close(end);
    return result;
  }
  // Small enough for the pipe's buffer, so that writing it all cannot block.
  EXPECT_LE(options.in.size(), 60000U);
  EXPECT_EQ(::write(in[1], options.in.data(), options.in.size()),
            static_cast<ssize_t>(options.in.size()));
  ::close(in[1]);

  std::array<pollfd, 2> ends = {pollfd{out[0], POLLIN, 0}, pollfd{err[0], POLLIN, 0}};
  const std::array<std::string*, 2> texts = {&result.out, &result.err};
  bool interrupted = false;
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t count = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (count <= 0) {
        ::close(ends[i].fd);
        ends[i].fd = -1;
        continue;
      }
      texts[i]->append(buffer.data(), static_cast<std::size_t>(count));
    }
    if (options.interrupt_after != 0 && !interrupted &&
        result.out.size() >= options.interrupt_after) {
      ::kill(child, SIGINT);
      interrupted = true;
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace ingot::test
