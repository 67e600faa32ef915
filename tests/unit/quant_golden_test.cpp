// Decoding and published encoders against files and bytes that other implementations made. If one
// of these fails, weights of real files mean something else here than where they were made. Also
// built with -march=native and contraction (tests/quant_native), which must change no bit.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "support/binary_file.hpp"
#include "support/fixtures.hpp"

namespace ingot {
namespace {

// Compares bits, so that the sign of zero and NaN count; names the first element that differs.
void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
}

std::vector<float> decode(DType type, std::span<const std::byte> bytes) {
  const auto blocks = static_cast<std::int64_t>(bytes.size()) / block_bytes(type);
  std::vector<float> values(static_cast<std::size_t>(blocks * block_size(type)));
  dequantize(type, bytes, values);
  return values;
}

std::vector<std::byte> encode(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(row_bytes(type, static_cast<std::int64_t>(values.size())));
  quantize(type, values, bytes);
  return bytes;
}

std::string type_name(const testing::TestParamInfo<DType>& info) {
  return std::string(to_string(info.param));
}

class PublishedFile : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    const std::string name(to_string(GetParam()));
    const auto folder = test::fixtures() / "quant";
    const auto model = folder / (name + ".gguf");
    INGOT_NEED_FIXTURE(std::filesystem::exists(model), model);
    file_ = GgufFile::open(folder / (name + ".gguf"));
    expected_ = test::read_array<float>(folder / (name + ".attn_k.f32"));
  }

  std::span<const std::byte> stored() const { return file_->tensor("blk.0.attn_k.weight").data; }

  std::shared_ptr<const GgufFile> file_;
  std::vector<float> expected_;
};

TEST_P(PublishedFile, DecodesBitForBit) {
  expect_same_bits(decode(GetParam(), stored()), expected_);
}

INSTANTIATE_TEST_SUITE_P(Formats, PublishedFile,
                         testing::Values(DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0,
                                         DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q2_K,
                                         DType::Q3_K, DType::Q4_K, DType::Q5_K, DType::Q6_K,
                                         DType::IQ4_NL, DType::IQ4_XS),
                         type_name);

class RoundTrip : public PublishedFile {};

// A file decoded and encoded again is the same file: an encoder that drifted would lose quality at
// each conversion.
TEST_P(RoundTrip, EncodesDecodedFileToItsBytes) {
  const std::vector<std::byte> again = encode(GetParam(), expected_);
  EXPECT_TRUE(std::equal(again.begin(), again.end(), stored().begin(), stored().end()));
}

INSTANTIATE_TEST_SUITE_P(Formats, RoundTrip,
                         testing::Values(DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0,
                                         DType::Q5_0),
                         type_name);

// Random blocks reach what trained weights do not: every code, negative and extreme sub-block
// scales, subnormal f16 scales, all 256 MXFP4 exponents (0 and 1 are subnormal scales that must not
// be flushed).
class GoldenBlocks : public testing::TestWithParam<DType> {};

TEST_P(GoldenBlocks, DecodeBitForBit) {
  const std::string stem = "quant/" + std::string(to_string(GetParam()));
  const auto blocks = test::read_array<std::byte>(test::test_data(stem + ".blocks"));
  ASSERT_FALSE(blocks.empty());
  expect_same_bits(decode(GetParam(), blocks),
                   test::read_array<float>(test::test_data(stem + ".f32")));
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenBlocks,
                         testing::Values(DType::Q8_0, DType::Q4_0, DType::Q4_1, DType::Q5_0,
                                         DType::Q5_1, DType::Q2_K, DType::Q3_K, DType::Q4_K,
                                         DType::Q5_K, DType::Q6_K, DType::IQ4_NL, DType::IQ4_XS,
                                         DType::MXFP4),
                         type_name);

TEST(Mxfp4Golden, SubnormalScalesAreNotFlushed) {
  const auto blocks = test::read_array<std::byte>(test::test_data("quant/MXFP4.blocks"));
  const std::vector<float> values = decode(DType::MXFP4, std::span(blocks).first(2 * 17));
  float largest[2] = {};
  for (std::size_t i = 0; i < values.size(); ++i)
    largest[i / 32] = std::max(largest[i / 32], values[i]);
  EXPECT_EQ(largest[0], 0x1.8p-125f);  // 6 * 2^-127
  EXPECT_EQ(largest[1], 0x1.8p-124f);
}

// The rules other tools publish, ties and subnormal scales included.
class GoldenEncoder : public testing::TestWithParam<DType> {};

TEST_P(GoldenEncoder, WritesTheSameBytes) {
  const auto input = test::read_array<float>(test::test_data("quant/input.f32"));
  const std::string name = "quant/" + std::string(to_string(GetParam())) + ".encoded";
  const auto expected = test::read_array<std::byte>(test::test_data(name));
  const std::vector<std::byte> actual = encode(GetParam(), input);
  ASSERT_EQ(actual.size(), expected.size());
  const auto block = static_cast<std::size_t>(block_bytes(GetParam()));
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_EQ(actual[i], expected[i]) << "block " << i / block << ", byte " << i % block;
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenEncoder,
                         testing::Values(DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0,
                                         DType::Q4_1, DType::Q5_0, DType::Q5_1),
                         type_name);

}  // namespace
}  // namespace ingot
