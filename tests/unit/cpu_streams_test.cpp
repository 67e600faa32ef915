// Weights that few rows read as two streams give what each group of rows gives alone.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/matmul.hpp"
#include "cpu/quant/packed.hpp"
#include "ingot/quant/formats.hpp"
#include "tests/support/kernel_test.hpp"

namespace ingot::internal::cpu {
namespace {

using test::Guarded;
using test::random_floats;

// 7 groups, so that one is left, of 24 KiB and more together; one group alone is one stream.
constexpr std::int64_t kColumns = 1536;
constexpr std::int64_t kWeightRows = 7 * kGroupRows;
constexpr std::int64_t kStride = kWeightRows + 5;

class CpuStreams : public test::KernelTest {
 protected:
  // multiply(first weight row, count, out) for all rows at once and for `step` at a time.
  template <class Multiply>
  void expect_same(std::int64_t rows, std::int64_t step, Multiply multiply) {
    Guarded<float> together(rows * kStride, -1.0F);
    Guarded<float> alone(rows * kStride, -1.0F);
    multiply(0, kWeightRows, together.data());
    for (std::int64_t n = 0; n < kWeightRows; n += step) multiply(n, step, alone.data() + n);
    for (std::int64_t r = 0; r < rows; ++r) {
      EXPECT_EQ(std::memcmp(together.data() + r * kStride, alone.data() + r * kStride,
                            kWeightRows * sizeof(float)),
                0)
          << "row " << r;
      for (std::int64_t n = 0; n < kStride; ++n) {
        EXPECT_EQ(together[r * kStride + n] == -1.0F, n >= kWeightRows) << r << ' ' << n;
      }
    }
  }

  const std::vector<float> weights_ = random_floats(kWeightRows * kColumns);
  const std::vector<float> bias_ = random_floats(kWeightRows, 3);
};

TEST_P(CpuStreams, OfInterleavedRowsAreAsGroupsAlone) {
  for (const auto& format : quant::kFormats) {
    const FormatKernels& kernels = table().format(format.id);
    if (kernels.pack == nullptr) continue;
    const std::int64_t row_bytes = kColumns / format.block_size * format.block_bytes;
    std::vector<std::byte> bytes(static_cast<std::size_t>(kWeightRows * row_bytes));
    format.quantize(weights_.data(), bytes.data(), kWeightRows * kColumns);
    std::vector<std::byte> packed(bytes.size());
    for (std::int64_t n = 0; n < kWeightRows; n += kGroupRows) {
      kernels.pack(bytes.data() + n * row_bytes, row_bytes, packed.data() + n * row_bytes);
    }
    for (const std::int64_t rows : {1, 2, 3, 8}) {
      SCOPED_TRACE(std::string(format.name) + ", rows " + std::to_string(rows));
      const auto x = random_floats(rows * kColumns, 2);
      const test::QuantizedRows in(table(), x, rows, kColumns);
      expect_same(rows, kGroupRows, [&](std::int64_t n, std::int64_t count, float* out) {
        const WeightRows weight{
            packed.data() + n * row_bytes, row_bytes, count, kColumns, count, &kernels};
        table().packed(format.id).few_rows(
            {weight, in.rows.data(), rows, bias_.data() + n, out, kStride, true});
      });
    }
  }
}

TEST_P(CpuStreams, OfFloatsAreAsRowsAlone) {
  for (const DType type : {DType::F32, DType::F16, DType::BF16}) {
    const auto& format = quant::format(type);
    const std::int64_t row_bytes = kColumns * format.block_bytes;
    std::vector<std::byte> bytes(static_cast<std::size_t>(kWeightRows * row_bytes));
    format.quantize(weights_.data(), bytes.data(), kWeightRows * kColumns);
    for (const std::int64_t rows : {1, 2, 3, 8}) {
      SCOPED_TRACE(std::string(format.name) + ", rows " + std::to_string(rows));
      const auto x = random_floats(rows * kColumns, 2);
      expect_same(rows, 1, [&](std::int64_t n, std::int64_t count, float* out) {
        const WeightRows weight{bytes.data() + n * row_bytes, row_bytes, count, kColumns, 0,
                                &table().format(type)};
        table().few_floats({weight,
                            {x.data(), kColumns, nullptr, rows, kColumns},
                            0,
                            rows,
                            bias_.data() + n,
                            out,
                            kStride,
                            nullptr});
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuStreams, ::testing::ValuesIn(available_targets()),
                         test::target_name);

}  // namespace
}  // namespace ingot::internal::cpu
