// Files that appear when they are complete: under every way to end before, nothing is left and what
// was there stays.
#include "ingot/gguf/output_file.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ingot/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot::gguf {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    found.push_back(entry.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

using Names = std::vector<std::string>;

/// Whether this folder's file system and this system can do without a name.
bool can_be_unnamed(const fs::path& folder) {
  const OutputFile probe(folder / "probe");
  return names(folder).empty();
}

class OutputFileTest : public ::testing::TestWithParam<Unfinished> {
 protected:
  test::ScratchFolder folder_;
  fs::path path_ = folder_ / "out";
};

TEST_P(OutputFileTest, AppearsWhenItIsCommitted) {
  OutputFile file(path_, GetParam());
  file.write(bytes_of("hello "));
  EXPECT_FALSE(fs::exists(path_));
  const std::string large(3 << 20, 'x');  // beyond the buffer
  file.write(bytes_of(large));
  file.commit();
  EXPECT_EQ(text_of(path_), "hello " + large);
  EXPECT_EQ(names(folder_.path()), Names{"out"});
}

TEST_P(OutputFileTest, ReplacesWhatHadTheNameOnlyThen) {
  std::ofstream(path_) << "before";
  fs::permissions(path_, fs::perms::owner_read);
  {
    OutputFile file(path_, GetParam());
    file.write(bytes_of("after"));
    EXPECT_EQ(text_of(path_), "before");
    file.commit();
  }
  EXPECT_EQ(text_of(path_), "after");
  {
    OutputFile file(path_, GetParam());
    file.write(bytes_of("never"));
  }
  EXPECT_EQ(text_of(path_), "after");
  EXPECT_EQ(names(folder_.path()), Names{"out"});
}

TEST_P(OutputFileTest, HasTheRightsThatNewFilesGet) {
  const mode_t before = ::umask(027);
  OutputFile file(path_, GetParam());
  file.commit();
  ::umask(before);
  EXPECT_EQ(fs::status(path_).permissions(), static_cast<fs::perms>(0640));
}

TEST_P(OutputFileTest, ReplacesALinkAndNotItsTarget) {
  std::ofstream(folder_ / "target") << "kept";
  fs::create_symlink("target", path_);
  OutputFile file(path_, GetParam());
  file.write(bytes_of("new"));
  file.commit();
  EXPECT_EQ(text_of(folder_ / "target"), "kept");
  EXPECT_FALSE(fs::is_symlink(path_));
  EXPECT_EQ(text_of(path_), "new");
}

TEST_P(OutputFileTest, TwoOfOneNameBothComeToAnEnd) {
  OutputFile first(path_, GetParam());
  OutputFile second(path_, GetParam());
  first.write(bytes_of("first"));
  second.write(bytes_of("second"));
  second.commit();
  EXPECT_EQ(text_of(path_), "second");
  first.commit();
  EXPECT_EQ(text_of(path_), "first");
  EXPECT_EQ(names(folder_.path()), Names{"out"});
}

// A killed program may have had this process's number, and its files may lie around.
TEST_P(OutputFileTest, LeavingsOfAnotherProcessAreNoHindrance) {
  const std::string taken = "out.incomplete-" + std::to_string(::getpid()) + "-0";
  std::ofstream(folder_ / taken) << "left";
  for (int round = 0; round < 2; ++round) {  // a new name, then one to replace
    OutputFile file(path_, GetParam());
    file.write(bytes_of("new"));
    file.commit();
    EXPECT_EQ(names(folder_.path()), (Names{"out", taken}));
  }
  EXPECT_EQ(text_of(folder_ / taken), "left");
}

TEST_P(OutputFileTest, NamesMayBeAsLongAsTheFileSystemTakes) {
  const fs::path longest = folder_ / std::string(255, 'n');
  for (int round = 0; round < 2; ++round) {
    OutputFile file(longest, GetParam());
    file.commit();
  }
  EXPECT_EQ(names(folder_.path()).size(), 1U);
  try {
    OutputFile file(folder_ / std::string(256, 'n'), GetParam());
    file.commit();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io) << error.what();
  }
  EXPECT_EQ(names(folder_.path()).size(), 1U);
}

TEST_P(OutputFileTest, RefusesWhatCannotBeWritten) {
  const auto refused = [&](const fs::path& path) {
    try {
      OutputFile file(path, GetParam());
      file.commit();
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io) << error.what();
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
  };
  refused(folder_ / "no/such/folder");
  refused(folder_.path());
  refused("/dev/null");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  refused(folder_ / "pipe");
  EXPECT_EQ(names(folder_.path()), Names{"pipe"});
}

// Relative names keep their meaning: the folder is the one that was current.
TEST_P(OutputFileTest, ANameWithoutAFolderIsInTheCurrentOne) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  OutputFile file("out", GetParam());
  file.write(bytes_of("here"));
  file.commit();
  fs::current_path(before);
  EXPECT_EQ(text_of(path_), "here");
}

TEST_P(OutputFileTest, ASignalHandlerCanRemoveWhatHasAName) {
  {
    OutputFile file(path_, GetParam());
    OutputFile other(folder_ / "other", GetParam());
    file.write(bytes_of("x"));
    remove_unfinished_files();
    EXPECT_EQ(names(folder_.path()), Names{});
  }
  OutputFile done(path_, GetParam());
  done.commit();
  remove_unfinished_files();
  EXPECT_EQ(names(folder_.path()), Names{"out"}) << "a finished file is none of them";
}

INSTANTIATE_TEST_SUITE_P(Ways, OutputFileTest,
                         ::testing::Values(Unfinished::unnamed, Unfinished::named),
                         [](const auto& parameter) {
                           return parameter.param == Unfinished::named ? "named" : "unnamed";
                         });

/// Runs `body` in a process of its own that then waits; kills it with `signal`.
template <class Body>
void kill_while_writing(int signal, Body body) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    body([&] {
      const char one = 1;
      (void)!::write(ready[1], &one, 1);
      while (true) ::pause();
    });
    ::_exit(9);
  }
  char one = 0;
  EXPECT_EQ(::read(ready[0], &one, 1), 1);
  ::kill(child, signal);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(OutputFile, NothingIsLeftOfAKilledProcess) {
  const test::ScratchFolder folder;
  if (!can_be_unnamed(folder.path())) GTEST_SKIP() << "no O_TMPFILE here, or no /proc";
  std::ofstream(folder / "out") << "before";
  for (const int signal : {SIGKILL, SIGTERM, SIGHUP, SIGABRT}) {
    kill_while_writing(signal, [&](auto wait) {
      OutputFile file(folder / "out");
      file.write(bytes_of(std::string(1 << 20, 'x')));
      wait();
    });
    EXPECT_EQ(names(folder.path()), Names{"out"}) << signal;
    EXPECT_EQ(text_of(folder / "out"), "before");
  }
}

// A child process that leaves by a signal must not take its parent's unfinished file along.
TEST(OutputFile, AForkedChildRemovesNothingOfItsParents) {
  const test::ScratchFolder folder;
  OutputFile file(folder / "out", Unfinished::named);
  const pid_t child = ::fork();
  if (child == 0) {
    remove_unfinished_files();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(names(folder.path()).size(), 1U);
  file.write(bytes_of("x"));
  file.commit();
  EXPECT_EQ(names(folder.path()), Names{"out"});
}

TEST(OutputFile, MoreUnfinishedFilesThanTheTableHoldsAreStillWritten) {
  const test::ScratchFolder folder;
  std::vector<std::unique_ptr<OutputFile>> files;
  for (int i = 0; i < 40; ++i) {
    files.push_back(std::make_unique<OutputFile>(folder / std::to_string(i), Unfinished::named));
  }
  for (const auto& file : files) file->commit();
  EXPECT_EQ(names(folder.path()).size(), 40U);
}

}  // namespace
}  // namespace ingot::gguf
