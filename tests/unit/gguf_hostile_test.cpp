// Bytes that nobody should trust: whatever they are, reading them throws an Error or gives a file
// whose every access stays in bounds. Run under the address sanitizer to see overruns.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ingot/gguf.hpp"
#include "support/gguf_bytes.hpp"

namespace ingot {
namespace {

using test::every_type_file;
using test::GgufBytes;

/// The Error's message; empty when the bytes are read after all. Anything but the wanted code
/// fails.
std::string refusal(std::span<const std::byte> bytes, ErrorCode wanted = ErrorCode::bad_file) {
  try {
    test::touch(*GgufFile::from_bytes(bytes, "hostile.gguf"));
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), wanted) << error.what();
    EXPECT_NE(std::string(error.what()).find("hostile.gguf"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
}

::testing::AssertionResult refused(const GgufBytes& bytes, std::string_view because,
                                   ErrorCode wanted = ErrorCode::bad_file) {
  const std::string message = refusal(bytes, wanted);
  if (message.empty()) return ::testing::AssertionFailure() << "accepted";
  if (message.find(because) == std::string::npos) {
    return ::testing::AssertionFailure() << "message lacks '" << because << "': " << message;
  }
  return ::testing::AssertionSuccess();
}

/// A file with one F32 tensor of `columns` elements, its bytes included.
GgufBytes with_tensor(const std::vector<std::uint64_t>& shape, std::uint32_t type,
                      std::uint64_t offset, std::size_t data_bytes) {
  GgufBytes bytes;
  bytes.header(1, 0).tensor("t", shape, type, offset).pad().data(data_bytes);
  return bytes;
}

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

// Broken: a download that stopped early loads, and reads past its end.
TEST(GgufHostile, EveryTruncationIsAnError) {
  const std::vector<std::byte> whole = every_type_file().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(refusal(std::span(whole).first(size)), "") << "cut after " << size << " bytes";
  }
  EXPECT_EQ(refusal(whole), "");
}

// Broken: some changed byte leads to an access out of bounds, an endless loop or a foreign
// exception.
TEST(GgufHostile, RandomChangesNeverEscape) {
  const std::vector<std::byte> whole = every_type_file().bytes();
  const std::size_t head = whole.size() - (160 + 132);  // changes in tensor bytes prove nothing
  std::mt19937_64 random(20240607);
  int accepted = 0;
  for (int round = 0; round < 100000; ++round) {
    std::vector<std::byte> bytes = whole;
    const std::uint64_t changes = 1 + random() % 4;
    for (std::uint64_t i = 0; i < changes; ++i) {
      std::byte& target = bytes[random() % head];
      // Single bits reach neighbouring values, whole bytes reach huge counts and other types.
      target = random() % 2 == 0 ? target ^ static_cast<std::byte>(1U << (random() % 8))
                                 : static_cast<std::byte>(random() & 0xffU);
    }
    if (random() % 16 == 0) bytes.resize(random() % (bytes.size() + 1));
    try {
      test::touch(*GgufFile::from_bytes(bytes, "changed"));
      ++accepted;
    } catch (const Error& error) {
      ASSERT_NE(error.code(), ErrorCode::internal) << error.what();
      ASSERT_NE(error.code(), ErrorCode::out_of_memory) << "sized by a claim: " << error.what();
    }
  }
  EXPECT_GT(accepted, 0) << "no change was harmless: the walk over accepted files was never run";
}

// Broken: memory is sized by a count that the file merely claims (this would be bad_alloc, or
// hours).
TEST(GgufHostile, CountsBeyondTheFileAreErrors) {
  for (const std::uint64_t count : {kHuge, kHuge / 8, kHuge / 8 + 2, std::uint64_t{1} << 40U}) {
    EXPECT_TRUE(refused(GgufBytes().header(count, 0), "tensors"));
    EXPECT_TRUE(refused(GgufBytes().header(0, count), "metadata keys"));
    EXPECT_TRUE(refused(GgufBytes().header(0, 1).u64(count).data(40), "ends inside"));
    for (const GgufType type : {GgufType::uint8, GgufType::uint64, GgufType::boolean,
                                GgufType::string, GgufType::array}) {
      EXPECT_TRUE(refused(GgufBytes().header(0, 1).array("a", type, count).data(64), "claims"));
    }
    EXPECT_TRUE(refused(GgufBytes().header(0, 1).key("s", GgufType::string).u64(count).data(9),
                        "ends inside"));
    EXPECT_TRUE(refused(GgufBytes().header(1, 0).u64(count).data(64), "ends inside"));
  }
}

// Broken: arrays in arrays exhaust the stack.
TEST(GgufHostile, DeepNestingIsAnError) {
  const auto nested = [](int depth) {
    GgufBytes bytes;
    bytes.header(0, 1).key("deep", GgufType::array);
    for (int i = 1; i < depth; ++i) bytes.u32(static_cast<std::uint32_t>(GgufType::array)).u64(1);
    return bytes.u32(static_cast<std::uint32_t>(GgufType::uint8)).u64(1).put(std::uint8_t{1});
  };
  EXPECT_EQ(refusal(nested(gguf::kDeepestArray)), "");
  EXPECT_TRUE(refused(nested(gguf::kDeepestArray + 1), "deeper"));
  EXPECT_TRUE(refused(nested(100000), "deeper"));
}

// Broken: something that is no GGUF of a readable version is taken for one.
TEST(GgufHostile, ForeignFilesAreNamedForWhatTheyAre) {
  EXPECT_TRUE(refused(GgufBytes(), "not a GGUF file"));
  EXPECT_TRUE(refused(GgufBytes().raw("GGML").data(100), "not a GGUF file"));
  EXPECT_TRUE(refused(GgufBytes().raw("version https://git-lfs.github.com/spec/v1\n"), "Git LFS"));
  EXPECT_TRUE(refused(GgufBytes().header(0, 0, 1), "version 1", ErrorCode::unsupported));
  EXPECT_TRUE(refused(GgufBytes().header(0, 0, 4), "version 4", ErrorCode::unsupported));
  EXPECT_TRUE(refused(GgufBytes().header(0, 0, 0), "version 0", ErrorCode::unsupported));
  EXPECT_TRUE(refused(GgufBytes().header(0, 0, 0x03000000), "big-endian", ErrorCode::unsupported));
}

// Broken: two keys or tensors of one name, of which a look-up finds either.
TEST(GgufHostile, DuplicateNamesAreErrors) {
  GgufBytes keys;
  keys.header(0, 2).scalar("k", GgufType::uint8, std::uint8_t{1});
  keys.scalar("k", GgufType::uint8, std::uint8_t{2});
  EXPECT_TRUE(refused(keys, "'k' appears twice"));
  GgufBytes tensors;
  tensors.header(2, 0).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 32).pad().data(64);
  EXPECT_TRUE(refused(tensors, "'t' appears twice"));
}

// Broken: names without end, or names that reach a terminal as control codes.
TEST(GgufHostile, NamesAreBoundedAndEscaped) {
  const std::string long_name(gguf::kLongestTensorName, 'n');
  EXPECT_EQ(refusal(GgufBytes().header(1, 0).tensor(long_name, {1}, 0, 0).pad().data(4)), "");
  EXPECT_TRUE(refused(GgufBytes().header(1, 0).tensor(long_name + 'n', {1}, 0, 0).pad().data(4),
                      "1025 bytes"));
  EXPECT_TRUE(refused(GgufBytes().header(1, 0).tensor("", {1}, 0, 0).pad().data(4), "0 bytes"));
  EXPECT_TRUE(refused(
      GgufBytes().header(0, 1).scalar("", GgufType::uint8, std::uint8_t{1}).data(16), "0 bytes"));
  const std::string long_key(gguf::kLongestKey + 1, 'k');
  EXPECT_TRUE(refused(GgufBytes().header(0, 1).scalar(long_key, GgufType::uint8, std::uint8_t{1}),
                      "65536"));
  EXPECT_TRUE(refused(GgufBytes().header(1, 0).tensor("a\x1b[2J\n", {1}, 99, 0).pad().data(4),
                      "'a\\x1b[2J\\x0a'", ErrorCode::unsupported));
}

// Broken: value types that do not exist, bools that are neither.
TEST(GgufHostile, BadValuesAreErrors) {
  EXPECT_TRUE(
      refused(GgufBytes().header(0, 1).key("k", static_cast<GgufType>(13)).data(16), "type 13"));
  EXPECT_TRUE(refused(GgufBytes().header(0, 1).array("k", static_cast<GgufType>(99), 1).data(16),
                      "type 99"));
  EXPECT_TRUE(refused(GgufBytes().header(0, 1).array("k", static_cast<GgufType>(99), 0).data(16),
                      "type 99"));
  EXPECT_TRUE(
      refused(GgufBytes().header(0, 1).scalar("k", GgufType::boolean, std::uint8_t{2}), "bool"));
  EXPECT_TRUE(refused(
      GgufBytes().header(0, 1).array("k", GgufType::boolean, 2).put(std::uint16_t{0x201}), "bool"));
}

// Broken: an alignment that makes offsets overflow, or is none.
TEST(GgufHostile, BadAlignmentsAreErrors) {
  for (const std::uint64_t alignment :
       {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{24}, gguf::kHighestAlignment * 2,
        std::uint64_t{1} << 63U, kHuge}) {
    EXPECT_TRUE(
        refused(GgufBytes().header(0, 1).scalar("general.alignment", GgufType::uint64, alignment),
                "power of two"));
  }
  EXPECT_TRUE(refused(GgufBytes().header(0, 1).scalar("general.alignment", GgufType::int32, -32),
                      "power of two"));
  EXPECT_TRUE(refused(
      GgufBytes().header(0, 1).key("general.alignment", GgufType::string).text("32"), "power"));
}

// Broken: a tensor reaches outside the file, or its size wraps around to something small.
TEST(GgufHostile, TensorsStayInsideTheFile) {
  EXPECT_EQ(refusal(with_tensor({8}, 0, 0, 32)), "");
  EXPECT_TRUE(refused(with_tensor({8}, 0, 0, 31), "ends beyond"));
  EXPECT_TRUE(refused(with_tensor({8}, 0, 32, 32), "ends beyond"));
  EXPECT_TRUE(refused(with_tensor({8}, 0, kHuge - 31, 32), "ends beyond"));
  EXPECT_TRUE(refused(with_tensor({8}, 0, 8, 64), "alignment"));
  EXPECT_TRUE(refused(with_tensor({0}, 0, 0, 32), "dimension of 0"));
  EXPECT_TRUE(refused(with_tensor({8, 0}, 0, 0, 32), "dimension of 0"));
  EXPECT_TRUE(refused(with_tensor({kHuge}, 0, 0, 32), "dimension of"));
  EXPECT_TRUE(refused(with_tensor({1, 1, 1, 1, 1}, 0, 0, 32), "5 dimensions"));
  // 2^33 * 2^31 = 2^64 wraps to 0 elements; 2^61 * 4 bytes wraps to 2^63.
  EXPECT_TRUE(refused(with_tensor({std::uint64_t{1} << 33U, std::uint64_t{1} << 31U}, 0, 0, 32),
                      "more elements"));
  EXPECT_TRUE(refused(with_tensor({std::uint64_t{1} << 61U}, 0, 0, 32), "more elements"));
  EXPECT_TRUE(refused(with_tensor({std::uint64_t{1} << 60U}, 0, 0, 32), "ends beyond"));
  EXPECT_TRUE(refused(with_tensor({31}, 8, 0, 64), "block of 32"));
  EXPECT_TRUE(refused(with_tensor({128, 2}, 12, 0, 144), "block of 256"));
  for (const std::uint32_t unknown : {4U, 5U, 43U, 1000U, 0xffffffffU}) {
    EXPECT_TRUE(
        refused(with_tensor({32}, unknown, 0, 128), "storage type", ErrorCode::unsupported));
  }
}

// Broken: two tensors share bytes.
TEST(GgufHostile, OverlapsAreErrors) {
  const auto two = [](std::uint64_t second) {
    GgufBytes bytes;
    bytes.header(2, 0).tensor("a", {24}, 0, 64).tensor("b", {24}, 0, second).pad().data(300);
    return bytes;
  };
  EXPECT_TRUE(refused(two(64), "overlap"));   // the same place
  EXPECT_TRUE(refused(two(128), "overlap"));  // a's last 32 bytes
  EXPECT_TRUE(refused(two(0), "overlap"));    // b reaches 32 bytes into a
  EXPECT_EQ(refusal(two(160)), "");           // right behind
}

}  // namespace
}  // namespace ingot
