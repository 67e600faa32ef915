// Models held in memory instead of mapped: the same numbers, counted in the plan, and nothing that
// happens to the file afterwards matters.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class Unmapped : public ::testing::TestWithParam<std::string> {
 protected:
  Unmapped() { fs::copy_file(test::test_data("arch/llama.gguf"), path_); }

  std::vector<float> logits(std::shared_ptr<const Model> model, const LoadOptions& options) {
    Session session(Executable::load(std::move(model), options));
    return test::all_logits(session, session.open(), test::golden_tokens());
  }
  /// What no mapping survives.
  void take_away() { fs::resize_file(path_, 100); }

  test::ScratchFolder folder_;
  fs::path path_ = folder_ / "model.gguf";
};

TEST_P(Unmapped, AModelOpenedSoOutlivesItsFile) {
  const LoadOptions options = test::options_for(GetParam());
  const auto mapped = logits(Model::open(path_), options);
  const auto model = Model::open(path_, {.map = false});
  take_away();
  EXPECT_EQ(logits(model, options), mapped);
  EXPECT_EQ(model->file().copied_bytes(), fs::file_size(test::test_data("arch/llama.gguf")));
}

TEST_P(Unmapped, LoadingSoLeavesTheFileAlone) {
  LoadOptions options = test::options_for(GetParam());
  const auto mapped = logits(Model::open(path_), options);
  options.map = false;
  options.max_sequences = 2;
  Session session(Executable::load(Model::open(path_), options));
  take_away();
  EXPECT_EQ(test::all_logits(session, session.open(), test::golden_tokens()), mapped);
  const SequenceId sequence = session.open();
  session.save(sequence, folder_ / "sequence");  // looks at the weights once more
}

TEST_P(Unmapped, TheCopyIsCounted) {
  LoadOptions options = test::options_for(GetParam());
  const std::uint64_t size = fs::file_size(path_);
  const auto model = Model::open(path_);
  const MemoryPlan mapped = plan_memory(*model, options);
  EXPECT_EQ(mapped.file_bytes, 0U);
  options.map = false;
  const MemoryPlan copied = plan_memory(*model, options);
  EXPECT_EQ(copied.file_bytes, size);
  EXPECT_EQ(copied.total_bytes(), mapped.total_bytes() + size);
  EXPECT_NE(copied.to_string().find("file "), std::string::npos) << copied.to_string();

  const auto held = Model::open(path_, {.map = false});
  const MemoryPlan already = plan_memory(*held, test::options_for(GetParam()));
  EXPECT_EQ(already.file_bytes, size);
  EXPECT_EQ(already.total_bytes(), copied.total_bytes());

  // With a limit between the two, only the mapped model fits.
  LoadOptions tight = test::options_for(GetParam());
  tight.run.context = 64;
  tight.memory_limit = plan_memory(*model, tight).total_bytes() + size / 2;
  EXPECT_NO_THROW(Executable::load(model, tight));
  tight.map = false;
  try {
    Executable::load(model, tight);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Unmapped, ::testing::ValuesIn(test::test_device_names()),
                         test::device_test_name);

TEST(UnmappedFile, HasTheBytesOfAMappedOne) {
  const auto path = test::test_data("arch/llama.gguf");
  const auto mapped = gguf::FileBytes::map(path);
  const auto read = gguf::FileBytes::read(path);
  ASSERT_EQ(mapped.bytes().size(), read.bytes().size());
  EXPECT_TRUE(std::equal(mapped.bytes().begin(), mapped.bytes().end(), read.bytes().begin()));
  EXPECT_TRUE(mapped.is_mapped());
  EXPECT_FALSE(read.is_mapped());
  read.release(read.bytes());  // would lose what cannot be fetched again
  EXPECT_TRUE(std::equal(mapped.bytes().begin(), mapped.bytes().end(), read.bytes().begin()));
}

TEST(UnmappedFile, IsRefusedBeforeItIsReadWhenItIsTooLarge) {
  const auto path = test::test_data("arch/llama.gguf");
  const std::uint64_t size = fs::file_size(path);
  EXPECT_NO_THROW(gguf::FileBytes::read(path, size));
  const auto code = [](auto call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code([&] { gguf::FileBytes::read(path, size - 1); }), ErrorCode::out_of_memory);
  EXPECT_EQ(code([&] { Model::open(path, {.map = false, .memory_limit = size - 1}); }),
            ErrorCode::out_of_memory);

  // A terabyte that takes no room on the disk: more than there is memory, and never touched.
  const test::ScratchFolder folder;
  std::ofstream(folder / "huge") << "GGUF";
  std::error_code refused;
  fs::resize_file(folder / "huge", std::uintmax_t{1} << 42, refused);
  if (refused) GTEST_SKIP() << "no sparse files here";
  EXPECT_EQ(code([&] { gguf::FileBytes::read(folder / "huge"); }), ErrorCode::out_of_memory);
}

TEST(UnmappedFile, WhatIsNoFileIsRefusedAsForAMapping) {
  const test::ScratchFolder folder;
  std::ofstream(folder / "empty");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const auto& path : {folder / "empty", folder / "pipe", folder / "absent", folder.path()}) {
    std::string messages[2];
    for (const bool map : {true, false}) {
      try {
        GgufFile::open(path, {.map = map});
        ADD_FAILURE() << path;
      } catch (const Error& error) {
        messages[map ? 1 : 0] = error.what();
      }
    }
    EXPECT_EQ(messages[0], messages[1]);
  }
}

}  // namespace
}  // namespace ingot
