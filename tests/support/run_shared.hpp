// Running the ingot program with stdout and stderr in one place, as on a terminal or with 2>&1.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/run_program.hpp"

namespace ingot::test {

/// Starts `ingot arguments...` with `descriptor` as stdout and stderr.
inline pid_t start_ingot(const std::vector<std::string>& arguments, int descriptor) {
  const std::string program = ingot_program().string();
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, descriptor, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, descriptor, STDERR_FILENO);
  pid_t child = -1;
  const int spawned =
      ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(spawned, 0) << program;
  return spawned == 0 ? child : -1;
}

inline int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// What the program writes to one file, as with >FILE 2>&1.
inline std::string run_into_one_file(const std::vector<std::string>& arguments,
                                     const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  EXPECT_GE(file, 0) << path;
  const pid_t child = start_ingot(arguments, file);
  ::close(file);
  if (child < 0) return {};
  EXPECT_EQ(wait_for(child), 0);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What the program writes to a terminal; each line there ends with "\r\n".
inline std::string run_on_terminal(const std::vector<std::string>& arguments) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_GE(terminal, 0);
  EXPECT_EQ(::grantpt(terminal), 0);
  EXPECT_EQ(::unlockpt(terminal), 0);
  const int other = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);
  EXPECT_GE(other, 0);
  const pid_t child = start_ingot(arguments, other);
  ::close(other);
  std::string text;
  std::array<char, 4096> buffer{};
  // Reading fails (EIO) once the program, the last to hold the other end, is gone.
  for (ssize_t count = 0; (count = ::read(terminal, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  ::close(terminal);
  if (child >= 0) {
    EXPECT_EQ(wait_for(child), 0);
  }
  return text;
}

}  // namespace ingot::test
