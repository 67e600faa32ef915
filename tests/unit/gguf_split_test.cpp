// Split models open as one, or say which part is wrong and what was expected. Also what open() does
// with paths that are no models.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "ingot/gguf.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::GgufBytes;
using test::ScratchFolder;

/// A part as published tools write it: the keys split.*, and for the first part the model's
/// metadata. Holds one tensor named after the part; `number` counts from 0.
GgufBytes part(std::uint16_t number, std::uint16_t count, std::int32_t total,
               const std::string& tensor = {}) {
  GgufBytes bytes;
  bytes.header(1, number == 0 ? 4 : 3);
  if (number == 0) bytes.key("general.architecture", GgufType::string).text("llama");
  bytes.scalar("split.no", GgufType::uint16, number);
  bytes.scalar("split.count", GgufType::uint16, count);
  bytes.scalar("split.tensors.count", GgufType::int32, total);
  bytes.tensor(tensor.empty() ? "t" + std::to_string(number) : tensor, {4}, 0, 0).pad().data(16);
  return bytes;
}

std::string name(int number, int count) {
  return "model-0000" + std::to_string(number) + "-of-0000" + std::to_string(count) + ".gguf";
}

::testing::AssertionResult refused(const std::filesystem::path& path, ErrorCode code,
                                   std::string_view because) {
  try {
    test::touch(*GgufFile::open(path));
    return ::testing::AssertionFailure() << "opened";
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() == code && message.find(because) != std::string::npos) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << to_string(error.code()) << ": " << message;
  }
}

class GgufSplit : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::uint16_t i = 0; i < 3; ++i) folder.file(name(i + 1, 3), part(i, 3, 3));
  }
  ScratchFolder folder;
};

// Broken: tensors of later parts are missing or read from the wrong file.
TEST_F(GgufSplit, OpensAllPartsAsOne) {
  const auto file = GgufFile::open(folder / name(1, 3));
  EXPECT_EQ(file->tensors().size(), 3U);
  EXPECT_EQ(file->get<std::string>("general.architecture"), "llama");
  std::uint64_t bytes = 0;
  for (int i = 1; i <= 3; ++i) bytes += std::filesystem::file_size(folder / name(i, 3));
  EXPECT_EQ(file->total_bytes(), bytes);
  EXPECT_EQ(file->tensor("t2").data.front(), std::byte{1});
  EXPECT_NO_THROW(test::touch(*file));
}

// Broken: the tensors die with the object that read them, or parts are unmapped early.
TEST_F(GgufSplit, PartsLiveAsLongAsTheFile) {
  std::shared_ptr<const GgufFile> file = GgufFile::open(folder / name(1, 3));
  std::filesystem::remove_all(folder.path());
  EXPECT_NO_THROW(test::touch(*file));
}

TEST_F(GgufSplit, ALaterPartTellsToOpenTheFirst) {
  EXPECT_TRUE(refused(folder / name(2, 3), ErrorCode::bad_file, "part 2 of 3"));
  EXPECT_TRUE(refused(folder / name(2, 3), ErrorCode::bad_file, "open its first part"));
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  std::filesystem::remove(folder / name(3, 3));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::io, name(3, 3)));
}

// Broken: a part that is a copy or a link of another is read twice.
TEST_F(GgufSplit, ARepeatedPartIsAnError) {
  std::filesystem::remove(folder / name(3, 3));
  std::filesystem::copy_file(folder / name(2, 3), folder / name(3, 3));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, name(3, 3)));
  std::filesystem::remove(folder / name(3, 3));
  std::filesystem::create_symlink(folder / name(1, 3), folder / name(3, 3));
  EXPECT_TRUE(
      refused(folder / name(1, 3), ErrorCode::bad_file, "split.no is uint16 0, expected 2"));
}

TEST_F(GgufSplit, PartsOfAnotherModelAreErrors) {
  folder.file(name(2, 3), part(1, 4, 4));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "split.count is uint16 4"));
  folder.file(name(2, 3), part(1, 3, 3, "t0"));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "'t0' appears twice"));
  folder.file(name(2, 3), test::every_type_file());
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "split.no is missing"));
  folder.file(name(2, 3), GgufBytes().raw("rubbish"));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, name(2, 3)));
}

TEST_F(GgufSplit, AWrongTotalIsAnError) {
  folder.file(name(1, 3), part(0, 3, 4));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "hold 3 tensors, but 4"));
}

TEST_F(GgufSplit, ARenamedFirstPartTellsTheExpectedName) {
  std::filesystem::rename(folder / name(1, 3), folder / "model.gguf");
  EXPECT_TRUE(refused(folder / "model.gguf", ErrorCode::bad_file, "-00001-of-00003.gguf"));
}

TEST_F(GgufSplit, ImpossibleNumbersAreErrors) {
  folder.file(name(1, 3), part(7, 3, 3));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "split.no is 7"));
  folder.file(name(1, 3), GgufBytes().header(0, 1).scalar("split.count", GgufType::int32, -2));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "split.count"));
  folder.file(name(1, 3),
              GgufBytes().header(0, 1).scalar("split.count", GgufType::uint64, ~std::uint64_t{0}));
  EXPECT_TRUE(refused(folder / name(1, 3), ErrorCode::bad_file, "name does not end"));
}

TEST_F(GgufSplit, AJoinedModelIsWhole) {
  // Tools that join parts keep the key and set it to 0.
  const auto path = folder.file("joined.gguf", part(0, 0, 1));
  EXPECT_EQ(GgufFile::open(path)->tensors().size(), 1U);
}

TEST_F(GgufSplit, MemoryHoldsNoFurtherParts) {
  try {
    static_cast<void>(GgufFile::from_bytes(part(0, 3, 3), "memory"));
    FAIL() << "read one part of three";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
  }
}

// Broken: a path that is no file hangs, crashes or gives an empty model.
TEST(GgufOpen, PathsThatAreNoModelAreErrors) {
  const ScratchFolder folder;
  EXPECT_TRUE(refused(folder / "absent.gguf", ErrorCode::io, "absent.gguf"));
  EXPECT_TRUE(refused(folder.path(), ErrorCode::bad_file, "not a regular file"));
  EXPECT_TRUE(refused("/dev/zero", ErrorCode::bad_file, "not a regular file"));
  EXPECT_TRUE(refused(folder.file("empty.gguf", {}), ErrorCode::bad_file, "empty"));
  ASSERT_EQ(::mkfifo((folder / "pipe.gguf").c_str(), 0600), 0);
  EXPECT_TRUE(refused(folder / "pipe.gguf", ErrorCode::bad_file, "not a regular file"));
}

}  // namespace
}  // namespace ingot
