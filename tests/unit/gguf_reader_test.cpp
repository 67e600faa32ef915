// What a well-formed file says must arrive unchanged: every value type, every conversion, every
// tensor.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "ingot/gguf.hpp"
#include "support/binary_file.hpp"
#include "support/fixtures.hpp"
#include "support/gguf_bytes.hpp"

namespace ingot {
namespace {

using test::every_type_file;
using test::GgufBytes;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::shared_ptr<const GgufFile> read(const GgufBytes& bytes) {
  return GgufFile::from_bytes(bytes, "test.gguf");
}

/// One uint8 key per byte value would be the same test: a file with this single key.
template <class T>
std::shared_ptr<const GgufFile> single(GgufType type, T value) {
  GgufBytes bytes;
  bytes.header(0, 1).scalar("k", type, value);
  return read(bytes);
}

std::string numbered(std::string prefix, std::uint64_t i) {
  return prefix.append(std::to_string(i));
}

template <class T>
bool refuses(const GgufFile& file, std::string_view key) {
  try {
    static_cast<void>(file.get<T>(key));
    return false;
  } catch (const Error& error) {
    const std::string message = error.what();
    return error.code() == ErrorCode::bad_file && message.find(file.path()) != std::string::npos &&
           message.find(key) != std::string::npos;
  }
}

// Broken: a value type is misread, or one of the two versions.
TEST(GgufReader, ReadsEveryValueTypeInBothVersions) {
  for (const std::uint32_t version : {2U, 3U}) {
    const auto file = read(every_type_file(version));
    EXPECT_EQ(file->version(), version);
    EXPECT_EQ(file->path(), "test.gguf");
    EXPECT_EQ(file->metadata().size(), 19U);
    EXPECT_EQ(file->metadata().front().first, "general.architecture");
    EXPECT_EQ(file->get<std::string>("general.architecture"), "llama");
    EXPECT_EQ(file->get<std::string_view>("general.architecture"), "llama");
    EXPECT_EQ(file->get<std::uint8_t>("u8"), 200);
    EXPECT_EQ(file->get<std::int8_t>("i8"), -100);
    EXPECT_EQ(file->get<std::uint16_t>("u16"), 60000);
    EXPECT_EQ(file->get<std::int16_t>("i16"), -30000);
    EXPECT_EQ(file->get<std::uint32_t>("u32"), 4000000000U);
    EXPECT_EQ(file->get<std::int32_t>("i32"), -2000000000);
    EXPECT_EQ(file->get<std::uint64_t>("u64"), std::uint64_t{1} << 63U);
    EXPECT_EQ(file->get<std::int64_t>("i64"), -9000000000000000000);
    EXPECT_EQ(file->get<float>("f32"), 1.5F);
    EXPECT_EQ(file->get<double>("f64"), 1e300);
    EXPECT_TRUE(file->get<bool>("yes"));
    EXPECT_FALSE(file->get<bool>("no"));
    EXPECT_EQ(file->get<std::vector<std::string>>("strings"),
              (std::vector<std::string>{"", "b", "caf\xc3\xa9"}));
    EXPECT_EQ(file->find("strings")->strings()[1], "b");
    EXPECT_EQ(file->get<std::vector<int>>("ints"), (std::vector<int>{-1, 0, 1}));
    EXPECT_EQ(file->get<std::vector<float>>("floats"), (std::vector<float>{0.5F, -2.0F}));
    EXPECT_EQ(file->get<std::vector<bool>>("bools"), (std::vector<bool>{true, false}));
    EXPECT_EQ(file->get<std::vector<std::vector<int>>>("nested"),
              (std::vector<std::vector<int>>{{7, 8}, {}}));
    EXPECT_EQ(file->find("nested")->at(0).at(1).as<int>(), 8);
    EXPECT_TRUE(file->get<std::vector<std::string>>("empty").empty());
    EXPECT_EQ(file->find("absent"), nullptr);
    EXPECT_NO_THROW(test::touch(*file));
  }
}

// Broken: a tensor's shape is transposed, its bytes are another's, or an uncomputed type is
// unreachable.
TEST(GgufReader, GivesEveryTensorItsShapeAndBytes) {
  const GgufBytes bytes = every_type_file();
  const auto file = read(bytes);
  const std::size_t data_begin = bytes.size() - (160 + 132);
  ASSERT_EQ(file->tensors().size(), 3U);
  EXPECT_EQ(file->total_bytes(), bytes.size());

  const GgufTensor& norm = file->tensor("norm");
  EXPECT_EQ(norm.shape, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(norm.rows(), 1);
  EXPECT_EQ(norm.dtype(), DType::F32);
  EXPECT_EQ(norm.data.size(), 16U);
  EXPECT_EQ(norm.data.front(), bytes.bytes()[data_begin]);

  const GgufTensor& matrix = file->tensor("matrix");
  EXPECT_EQ(matrix.columns(), 32);
  EXPECT_EQ(matrix.rows(), 3);
  EXPECT_EQ(matrix.element_count(), 96);
  EXPECT_EQ(matrix.dtype(), DType::Q8_0);
  EXPECT_EQ(matrix.data.size(), 3U * 34U);
  EXPECT_EQ(matrix.data.front(), bytes.bytes()[data_begin + 32]);

  const GgufTensor& experts = file->tensor("experts");
  EXPECT_EQ(experts.shape, (std::vector<std::int64_t>{256, 1, 2}));
  EXPECT_EQ(experts.rows(), 2);
  EXPECT_EQ(experts.dtype(), std::nullopt);
  EXPECT_EQ(experts.type_name(), "IQ2_XXS");
  EXPECT_EQ(experts.data.size(), 2U * 66U);
  EXPECT_EQ(experts.data.back(), bytes.bytes().back());

  EXPECT_EQ(file->find_tensor("absent"), nullptr);
  EXPECT_THROW(static_cast<void>(file->tensor("absent")), Error);
}

// Broken: a tensor without dimensions is refused, or has no columns to divide by.
TEST(GgufReader, AScalarIsOneElement) {
  const auto file = read(GgufBytes()
                             .header(2, 0)
                             .tensor("scale", {}, 0, 0)
                             .tensor("after", {2}, 0, 32)
                             .pad()
                             .data(40));
  const GgufTensor& scale = file->tensor("scale");
  EXPECT_EQ(scale.shape, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(scale.columns(), 1);
  EXPECT_EQ(scale.rows(), 1);
  EXPECT_EQ(scale.element_count(), 1);
  EXPECT_EQ(scale.data.size(), sizeof(float));
  EXPECT_EQ(file->tensor("after").data.data(), scale.data.data() + 32);
}

// Broken: the copy that from_bytes promises refers to the caller's buffer.
TEST(GgufReader, FromBytesCopies) {
  std::vector<std::byte> bytes = every_type_file().bytes();
  const auto file = GgufFile::from_bytes(bytes, "copy");
  std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
  EXPECT_EQ(file->get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(file->tensor("norm").data.front(), std::byte{1});
}

// Broken: a number silently changes its value on the way to the caller.
TEST(GgufReader, ConvertsNumbersOnlyWhenTheyFit) {
  const auto small = single(GgufType::uint32, std::uint32_t{7});
  EXPECT_EQ(small->get<std::int8_t>("k"), 7);
  EXPECT_EQ(small->get<std::uint64_t>("k"), 7U);
  EXPECT_EQ(small->get<float>("k"), 7.0F);
  EXPECT_TRUE(refuses<bool>(*small, "k"));
  EXPECT_TRUE(refuses<std::string>(*small, "k"));
  EXPECT_TRUE(refuses<std::vector<int>>(*small, "k"));

  const auto negative = single(GgufType::int64, std::int64_t{-1});
  EXPECT_EQ(negative->get<int>("k"), -1);
  EXPECT_EQ(negative->get<double>("k"), -1.0);
  EXPECT_TRUE(refuses<std::uint8_t>(*negative, "k"));
  EXPECT_TRUE(refuses<std::uint64_t>(*negative, "k"));

  const auto large = single(GgufType::uint64, std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(refuses<std::int64_t>(*large, "k"));
  EXPECT_TRUE(refuses<double>(*large, "k"));  // 2^64 - 1 has 64 significant bits, a double 53
  EXPECT_EQ(single(GgufType::uint32, (1U << 24U) + 1U)->get<double>("k"), 16777217.0);
  EXPECT_TRUE(refuses<float>(*single(GgufType::uint32, (1U << 24U) + 1U), "k"));

  EXPECT_EQ(single(GgufType::float32, 3.0F)->get<int>("k"), 3);
  EXPECT_TRUE(refuses<int>(*single(GgufType::float32, 3.5F), "k"));
  EXPECT_TRUE(refuses<int>(*single(GgufType::float32, 2147483648.0F), "k"));
  EXPECT_EQ(single(GgufType::float32, -2147483648.0F)->get<int>("k"),
            std::numeric_limits<int>::min());
  EXPECT_TRUE(refuses<std::uint64_t>(*single(GgufType::float64, 18446744073709551616.0), "k"));
  EXPECT_TRUE(refuses<int>(*single(GgufType::float32, std::nanf("")), "k"));
  EXPECT_TRUE(refuses<std::uint64_t>(*single(GgufType::float64, kInfinity), "k"));

  EXPECT_EQ(single(GgufType::float64, 1e-5)->get<float>("k"), 1e-5F);
  EXPECT_TRUE(refuses<float>(*single(GgufType::float64, 1e300), "k"));
  EXPECT_TRUE(std::isinf(single(GgufType::float64, kInfinity)->get<float>("k")));
  EXPECT_TRUE(refuses<int>(*single(GgufType::boolean, std::uint8_t{1}), "k"));
}

// Broken: an absent key is taken for a wrong one, or the reverse.
TEST(GgufReader, TellsAbsentFromWrong) {
  const auto file = read(every_type_file());
  EXPECT_TRUE(refuses<int>(*file, "absent"));
  EXPECT_EQ(file->try_get<int>("absent"), std::nullopt);
  EXPECT_EQ(file->get_or<int>("absent", 5), 5);
  EXPECT_EQ(file->get_or("absent", "gpt2"), "gpt2");
  EXPECT_EQ(file->get_or("general.architecture", "gpt2"), "llama");
  EXPECT_EQ(file->try_get<int>("i8"), -100);
  EXPECT_THROW(file->try_get<int>("general.architecture"), Error);
  EXPECT_THROW(file->get_or<int>("general.architecture", 5), Error);
  EXPECT_TRUE(refuses<std::vector<std::string>>(*file, "ints"));
  EXPECT_TRUE(refuses<std::vector<unsigned>>(*file, "ints"));  // holds -1
  EXPECT_TRUE(refuses<std::vector<int>>(*file, "nested"));
  EXPECT_TRUE(refuses<std::vector<std::vector<int>>>(*file, "ints"));
  EXPECT_THROW(file->find("ints")->at(3), Error);
  EXPECT_THROW(file->find("i8")->at(0), Error);
  EXPECT_THROW(static_cast<void>(file->find("ints")->strings()), Error);
  EXPECT_THROW(static_cast<void>(file->find("i8")->as<std::string>()), Error);
}

// Broken: a file with its own alignment is read with the usual one.
TEST(GgufReader, HonoursTheAlignmentKey) {
  GgufBytes bytes;
  bytes.header(2, 1).scalar("general.alignment", GgufType::uint32, std::uint32_t{256});
  bytes.tensor("a", {1}, 0, 0).tensor("b", {1}, 0, 256);
  bytes.pad(256).data(256 + 4);
  const auto file = read(bytes);
  EXPECT_EQ(file->tensor("a").data.front(), std::byte{1});
  EXPECT_EQ(file->tensor("b").data.front(), std::byte{1});  // the pattern has period 256
  EXPECT_EQ(file->tensor("b").data.data() - file->tensor("a").data.data(), 256);
}

// Broken: files whose tensors lie apart or in another order than they are listed in are refused.
TEST(GgufReader, AllowsGapsAndAnyOrderOfTensors) {
  GgufBytes bytes;
  bytes.header(2, 0).tensor("late", {1}, 0, 96).tensor("early", {1}, 0, 0).pad().data(100);
  const auto file = read(bytes);
  EXPECT_EQ(file->tensors().front().name, "late");
  EXPECT_EQ(file->tensor("late").data.front(), std::byte{97});
  EXPECT_EQ(file->tensor("early").data.front(), std::byte{1});
}

// Broken: look-up by name degrades or misses among many names.
TEST(GgufReader, FindsEveryNameAmongMany) {
  constexpr std::uint64_t kCount = 3000;
  GgufBytes bytes;
  bytes.header(kCount, kCount);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    bytes.scalar(numbered("key.", i), GgufType::uint64, i);
  }
  for (std::uint64_t i = 0; i < kCount; ++i) bytes.tensor(numbered("t", i), {1}, 24, i * 32);
  bytes.pad().data(kCount * 32);
  const auto file = read(bytes);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(file->get<std::uint64_t>(numbered("key.", i)), i);
    ASSERT_EQ(file->tensor(numbered("t", i)).data.data() - file->tensors().front().data.data(),
              static_cast<std::ptrdiff_t>(i * 32));
  }
}

// Broken: published files no longer open from disk. Each fixture is walked byte by byte.
TEST(GgufReader, WalksEveryFixture) {
  const std::filesystem::path folder = test::fixtures();
  INGOT_NEED_FIXTURE(std::filesystem::exists(folder), folder);
  int walked = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    const auto file = GgufFile::open(entry.path());
    EXPECT_EQ(file->total_bytes(), entry.file_size());
    EXPECT_FALSE(file->get<std::string>("general.architecture").empty());
    EXPECT_NO_THROW(test::touch(*file));
    ++walked;
  }
  EXPECT_GT(walked, 0);
}

}  // namespace
}  // namespace ingot
