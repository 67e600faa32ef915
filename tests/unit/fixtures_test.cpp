// Golden data that lies both in this repository and among the fixtures is the same. Broken by a
// golden file that was corrected in one place only.
#include "tests/support/fixtures.hpp"

#include "tests/support/binary_file.hpp"

namespace ingot {
namespace {

TEST(Fixtures, FilesInBothPlacesAreEqual) {
  const std::filesystem::path ours = test::test_data("");
  const std::filesystem::path theirs = test::fixtures();
  INGOT_NEED_FIXTURE(std::filesystem::is_directory(theirs), theirs);
  int compared = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ours)) {
    const std::filesystem::path name = std::filesystem::relative(entry.path(), ours);
    if (!entry.is_regular_file() || !std::filesystem::is_regular_file(theirs / name)) continue;
    ++compared;
    EXPECT_TRUE(test::read_array<char>(entry.path()) == test::read_array<char>(theirs / name))
        << name << " differs from " << theirs / name;
  }
  EXPECT_GE(compared, 20) << "the folders share no names any more: this test finds nothing";
}

}  // namespace
}  // namespace ingot
