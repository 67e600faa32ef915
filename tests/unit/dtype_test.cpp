// The public face of storage types: names, sizes, refusals.
#include "ingot/dtype.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ingot/gguf.hpp"

namespace ingot {
namespace {

// The call must throw Error with the code, and a message that holds `part`.
template <class Call>
void expect_error(ErrorCode code, const std::string& part, Call call) {
  try {
    call();
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// A wrong size here would misplace every row of every tensor of the type.
TEST(DTypeFacts, SizesAreThoseOfGguf) {
  struct Case {
    DType type;
    std::uint32_t id;
    std::int64_t block_size;
    std::int64_t block_bytes;
  };
  const Case cases[] = {
      {DType::F32, 0, 1, 4},       {DType::F16, 1, 1, 2},       {DType::BF16, 30, 1, 2},
      {DType::Q8_0, 8, 32, 34},    {DType::Q4_0, 2, 32, 18},    {DType::Q4_1, 3, 32, 20},
      {DType::Q5_0, 6, 32, 22},    {DType::Q5_1, 7, 32, 24},    {DType::Q2_K, 10, 256, 84},
      {DType::Q3_K, 11, 256, 110}, {DType::Q4_K, 12, 256, 144}, {DType::Q5_K, 13, 256, 176},
      {DType::Q6_K, 14, 256, 210}, {DType::IQ4_NL, 20, 32, 18}, {DType::IQ4_XS, 23, 256, 136},
      {DType::MXFP4, 39, 32, 17},
  };
  ASSERT_EQ(std::size(cases), quant::kFormats.size());
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(to_string(c.type)));
    EXPECT_EQ(dtype_from_id(c.id), c.type);
    EXPECT_EQ(block_size(c.type), c.block_size);
    EXPECT_EQ(block_bytes(c.type), c.block_bytes);
    EXPECT_EQ(row_bytes(c.type, 3 * c.block_size), static_cast<std::uint64_t>(3 * c.block_bytes));
    EXPECT_EQ(row_bytes(c.type, 0), 0u);
  }
}

// The file reader has its own table (of all public types); where both know a type they must agree.
TEST(DTypeFacts, AgreeWithTheFileReader) {
  for (const quant::Format& format : quant::kFormats) {
    const gguf::TensorType* known = gguf::find_tensor_type(static_cast<std::uint32_t>(format.id));
    ASSERT_NE(known, nullptr) << format.name;
    EXPECT_EQ(known->name, format.name);
    EXPECT_EQ(static_cast<int>(known->block_size), format.block_size) << format.name;
    EXPECT_EQ(static_cast<int>(known->block_bytes), format.block_bytes) << format.name;
  }
}

TEST(DTypeFacts, NamesAreReadInAnyCase) {
  for (const quant::Format& format : quant::kFormats)
    EXPECT_EQ(parse_dtype(format.name), format.id);
  EXPECT_EQ(parse_dtype("q4_k"), DType::Q4_K);
  EXPECT_EQ(parse_dtype("bf16"), DType::BF16);
  EXPECT_EQ(parse_dtype(""), std::nullopt);
  EXPECT_EQ(parse_dtype("q4"), std::nullopt);
  EXPECT_EQ(parse_dtype("Q4_K_M"), std::nullopt);
}

TEST(DTypeFacts, UnknownNumbersAreNotTypes) {
  for (const std::uint32_t id : {4u, 5u, 9u, 15u, 40u, 1000u, 0xffffffffu})
    EXPECT_EQ(dtype_from_id(id), std::nullopt) << id;
  expect_error(ErrorCode::invalid_argument, "99", [] { (void)block_size(static_cast<DType>(99)); });
}

TEST(DTypeErrors, RowsMustBeWholeBlocks) {
  expect_error(ErrorCode::invalid_argument, "100 columns",
               [] { (void)row_bytes(DType::Q4_K, 100); });
  expect_error(ErrorCode::invalid_argument, "-32", [] { (void)row_bytes(DType::Q8_0, -32); });
  EXPECT_EQ(row_bytes(DType::F32, std::numeric_limits<std::int64_t>::max()),
            4 * ((1ull << 63) - 1));
}

TEST(DTypeErrors, BuffersMustAgree) {
  std::vector<std::byte> bytes(35);
  std::vector<float> values(32);
  expect_error(ErrorCode::invalid_argument, "34", [&] { dequantize(DType::Q8_0, bytes, values); });
  expect_error(ErrorCode::invalid_argument, "34", [&] { quantize(DType::Q8_0, values, bytes); });
  expect_error(ErrorCode::invalid_argument, "blocks of 256",
               [&] { dequantize(DType::Q6_K, bytes, values); });
}

TEST(DTypeErrors, EmptyBuffersAreFine) {
  for (const quant::Format& format : quant::kFormats) {
    dequantize(format.id, {}, {});
    quantize(format.id, {}, {});
  }
}

}  // namespace
}  // namespace ingot
