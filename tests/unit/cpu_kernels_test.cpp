// The CPU loops themselves, on buffers with guards around them: broken by a store or a load beyond
// the rows and columns that a task names. (A load beyond shows under the address sanitizer.)
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/ops/product.hpp"
#include "cpu/quant/packed.hpp"
#include "ingot/quant/formats.hpp"
#include "tests/support/kernel_test.hpp"

namespace ingot::internal::cpu {
namespace {

using test::Guarded;
using test::random_floats;

class CpuKernels : public test::KernelTest {};

// Interleaving keeps every bit of any bytes at all, in the same place and number.
TEST_P(CpuKernels, InterleavedRowsComeBackBitForBit) {
  std::mt19937 random(7);
  for (const auto& format : quant::kFormats) {
    SCOPED_TRACE(format.name);
    const FormatKernels& kernels = table().format(format.id);
    ASSERT_EQ(kernels.pack == nullptr, kernels.unpack_row == nullptr);
    if (kernels.pack == nullptr) continue;
    const std::int64_t bytes = 3 * format.block_bytes;
    std::vector<std::byte> rows(static_cast<std::size_t>(16 * bytes));
    for (std::byte& b : rows) b = static_cast<std::byte>(random());
    Guarded<std::byte> packed(16 * bytes);
    kernels.pack(rows.data(), bytes, packed.data());
    for (int row = 0; row < 16; ++row) {
      Guarded<std::byte> back(bytes);
      kernels.unpack_row(packed.data(), bytes, row, back.data());
      EXPECT_EQ(
          std::memcmp(back.data(), rows.data() + row * bytes, static_cast<std::size_t>(bytes)), 0)
          << row;
    }
  }
}

// Every format's lanes are its decoded values; panels are its decoded values bit for bit.
TEST_P(CpuKernels, LanesAndPanelsAgreeWithTheCodec) {
  for (const auto& format : quant::kFormats) {
    SCOPED_TRACE(format.name);
    const FormatKernels& kernels = table().format(format.id);
    const std::int64_t columns = 3 * std::max(format.block_size, 32);
    const auto x = random_floats(columns);
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(columns / format.block_size * format.block_bytes));
    format.quantize(x.data(), bytes.data(), columns);
    std::vector<float> expected(x.size());
    format.dequantize(bytes.data(), expected.data(), columns);

    Guarded<float> panel(columns);
    kernels.panel(bytes.data(), columns, panel.data());
    EXPECT_EQ(std::memcmp(panel.data(), expected.data(), x.size() * sizeof(float)), 0);
    if (kernels.lanes == nullptr) continue;
    std::vector<quant::Lanes32> lanes(static_cast<std::size_t>(columns / 32 - 1));
    kernels.lanes(bytes.data(), 1, columns / 32 - 1, lanes.data());
    for (std::size_t i = 32; i < x.size(); ++i) {
      const quant::Lanes32& group = lanes[i / 32 - 1];
      const std::size_t half = i % 32 / 16;
      const float value = group.scale[half] * static_cast<float>(group.q[i % 32]) - group.min[half];
      EXPECT_EQ(value, expected[i]) << i;
      if (!kernels.has_min) {
        EXPECT_EQ(group.min[half], 0.0F);
      }
    }
  }
}

// Subnormals, infinities and NaN too.
TEST_P(CpuKernels, EveryHalfIsDecodedAsTheCodecDoes) {
  std::vector<std::uint16_t> halves(65536);
  std::vector<float> expected(halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<std::uint16_t>(i);
    expected[i] = quant::from_f16(halves[i]);
  }
  Guarded<float> panel(65536);
  table()
      .format(DType::F16)
      .panel(reinterpret_cast<const std::byte*>(halves.data()), 65536 - 5, panel.data());
  EXPECT_EQ(std::memcmp(panel.data(), expected.data(), (65536 - 5) * sizeof(float)), 0);
}

// Only the named rows and columns of the output are written.
TEST_P(CpuKernels, ProductsStayInTheirRowsAndColumns) {
  const std::int64_t columns = 256;
  for (const DType type : {DType::F32, DType::Q4_K, DType::Q6_K}) {
    const auto& format = quant::format(type);
    const std::int64_t row_bytes = columns / format.block_size * format.block_bytes;
    for (const std::int64_t weight_rows : {1, 5, 16}) {
      for (const std::int64_t rows : {1, 3, 8}) {
        const auto w = random_floats(weight_rows * columns);
        std::vector<std::byte> bytes(static_cast<std::size_t>(weight_rows * row_bytes));
        format.quantize(w.data(), bytes.data(), weight_rows * columns);
        const auto x = random_floats(rows * columns, 2);
        const WeightRows weight{bytes.data(), row_bytes, weight_rows,
                                columns,      0,         &table().format(type)};
        const std::int64_t stride = weight_rows + 7;
        const auto check = [&](Guarded<float>& out) {
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t n = 0; n < stride && r * stride + n < rows * stride - 7; ++n) {
              EXPECT_EQ(out[r * stride + n] == -1.0F, n >= weight_rows);
            }
          }
        };
        Guarded<float> many(rows * stride, -1.0F);
        Guarded<float> panel(kPanelRows * kPanelColumns);
        table().many_rows({weight,
                           {x.data(), columns, nullptr, rows, columns},
                           0,
                           rows,
                           nullptr,
                           many.data(),
                           stride,
                           panel.data()});
        check(many);
        if (weight.format->lanes == nullptr) continue;
        const test::QuantizedRows in(table(), x, rows, columns);
        Guarded<float> few(rows * stride, -1.0F);
        table().few_rows({weight, in.rows.data(), rows, nullptr, few.data(), stride});
        check(few);
      }
    }
  }
}

// The same of interleaved rows and of tiles, whose edges are rows and columns that do not exist.
TEST_P(CpuKernels, InterleavedProductsStayInTheirRowsAndColumns) {
  const std::int64_t columns = 512;
  for (const auto& format : quant::kFormats) {
    const FormatKernels& kernels = table().format(format.id);
    if (kernels.pack == nullptr) continue;
    const std::int64_t row_bytes = columns / format.block_size * format.block_bytes;
    for (const std::int64_t weight_rows : {16, 48, 128}) {
      const auto w = random_floats(weight_rows * columns);
      std::vector<std::byte> bytes(static_cast<std::size_t>(weight_rows * row_bytes));
      format.quantize(w.data(), bytes.data(), weight_rows * columns);
      std::vector<std::byte> packed(bytes.size());
      for (std::int64_t n = 0; n < weight_rows; n += 16) {
        kernels.pack(bytes.data() + n * row_bytes, row_bytes, packed.data() + n * row_bytes);
      }
      for (const std::int64_t rows : {1, 3, 8, 16, 33, 49}) {
        const auto x = random_floats(rows * columns, 2);
        const std::int64_t stride = weight_rows + 7;
        for (const Path* path : {&paths::integers, &paths::integer_blocks, &paths::panels,
                                 &paths::tiles, &paths::floats}) {
          if (path == &paths::integers && rows > kFewRows) continue;
          const bool has_tiles = table().pack_tiles != nullptr;
          if (path == &paths::tiles && !has_tiles) continue;
          if (path == &paths::panels && has_tiles) continue;
          SCOPED_TRACE(std::string(format.name) + ", path " + std::string(path->name) +
                       ", weight rows " + std::to_string(weight_rows) + ", rows " +
                       std::to_string(rows));
          Product product;
          product.weight = {packed.data(), row_bytes, weight_rows, columns, weight_rows, &kernels};
          product.in = {x.data(), columns, nullptr, rows, columns};
          product.rows = rows;
          Guarded<float> prepared(path->form->floats(rows, columns) + 16);
          const auto aligned = [](float* p) {
            return reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(p) + 63) / 64 * 64);
          };
          prepare_all(table(), product.in, {path->form, aligned(prepared.data()), columns});
          product.prepared = aligned(prepared.data());
          Guarded<float> out(rows * stride, -1.0F);
          product.out = out.data();
          product.out_stride = stride;
          Guarded<float> work(path->work_floats + 16);
          path->multiply(table(), product, aligned(work.data()));
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t n = 0; n < stride; ++n) {
              EXPECT_EQ(out[r * stride + n] == -1.0F, n >= weight_rows) << r << ' ' << n;
            }
          }
        }
      }
    }
  }
}

// Weights read against their rows: f32 products of the codec's values, in either order, and nothing
// written beside them.
TEST_P(CpuKernels, TransposedProductsAreThoseOfTheDecodedWeights) {
  for (const auto& format : quant::kFormats) {
    const FormatKernels& kernels = table().format(format.id);
    const std::int64_t block = std::max<std::int64_t>(32, format.block_size);
    for (const std::int64_t columns : {block, 512 + block}) {
      for (const std::int64_t weight_rows : {5, 16, 48}) {
        const std::int64_t row_bytes = columns / format.block_size * format.block_bytes;
        const auto w = random_floats(weight_rows * columns);
        std::vector<std::byte> bytes(static_cast<std::size_t>(weight_rows * row_bytes));
        format.quantize(w.data(), bytes.data(), weight_rows * columns);
        std::vector<float> decoded(w.size());
        format.dequantize(bytes.data(), decoded.data(), weight_rows * columns);
        const bool is_packed = kernels.pack != nullptr && weight_rows % kGroupRows == 0;
        if (is_packed) {
          std::vector<std::byte> packed(bytes.size());
          for (std::int64_t n = 0; n < weight_rows; n += kGroupRows) {
            kernels.pack(bytes.data() + n * row_bytes, row_bytes, packed.data() + n * row_bytes);
          }
          bytes = std::move(packed);
        }
        for (std::int64_t rows = 1; rows <= 17; ++rows) {
          SCOPED_TRACE(std::string(format.name) + ", columns " + std::to_string(columns) +
                       ", weight rows " + std::to_string(weight_rows) + ", rows " +
                       std::to_string(rows));
          const std::int64_t in_stride = weight_rows + 3;
          const auto x = random_floats(rows * in_stride, 2);
          const std::int64_t stride = columns + 7;
          Guarded<float> out(rows * stride, -1.0F);
          Guarded<float> work(transposed_work_floats(columns));
          TransposedProduct task;
          task.weight = {bytes.data(), row_bytes, weight_rows, columns, is_packed ? weight_rows : 0,
                         &kernels};
          task.in = x.data();
          task.in_stride = in_stride;
          task.rows = rows;
          task.out = out.data();
          task.out_stride = stride;
          task.work = work.data();
          (is_packed ? table().packed(format.id).transposed : table().transposed)(task);
          int beyond = 0;
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t k = 0; k < stride; ++k) {
              const double got = out[r * stride + k];
              if (k >= columns) {
                EXPECT_EQ(got, -1.0);
                continue;
              }
              double sum = 0;
              double size = 0;
              for (std::int64_t n = 0; n < weight_rows; ++n) {
                const double product =
                    static_cast<double>(x[static_cast<std::size_t>(r * in_stride + n)]) *
                    decoded[static_cast<std::size_t>(n * columns + k)];
                sum += product;
                size += std::abs(product);
              }
              if (!(std::abs(got - sum) <=
                    static_cast<double>(weight_rows + 4) * std::pow(2.0, -24) * size)) {
                ++beyond;
              }
            }
          }
          EXPECT_EQ(beyond, 0);
        }
      }
    }
  }
}

TEST_P(CpuKernels, HalvesAreRoundedAsTheCodecRounds) {
  for (std::int64_t count = 1; count <= 70; ++count) {
    auto x = random_floats(count);
    const float awkward[] = {1e30F,   -70000.0F, 65519.0F, 65520.0F, 1e-7F, -INFINITY, 1e-30F,
                             2049.0F, 0.0F,      -0.0F,    INFINITY, 3e-8F, 6.1e-5F};
    for (std::size_t i = 0; i < x.size() && i < std::size(awkward); ++i) x[i] = awkward[i];
    Guarded<std::uint16_t> out(count);
    table().store_halves(x.data(), count, out.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = x[static_cast<std::size_t>(i)];
      EXPECT_EQ(out[i], quant::to_f16_saturating(value)) << value;
    }
  }
  const std::vector<float> nan(20, std::nanf(""));
  std::vector<std::uint16_t> out(20);
  table().store_halves(nan.data(), 20, out.data());
  for (const std::uint16_t half : out) EXPECT_TRUE(std::isnan(quant::from_f16(half)));
}

TEST_P(CpuKernels, ElementwiseLoopsStayInTheirRange) {
  for (std::int64_t count = 1; count <= 70; ++count) {
    const auto x = random_floats(count);
    const auto y = random_floats(count, 2);
    Guarded<float> out(count);
    table().add(x.data(), y.data(), out.data(), count);
    table().scale(2.0F, x.data(), out.data(), count);
    table().activate(ops::ActivationKind::silu, x.data(), out.data(), count);
    for (const float limit : {0.0F, 0.5F}) {
      table().glu(ops::ActivationKind::gelu_tanh, limit, x.data(), y.data(), out.data(), count);
    }
    table().norm({ops::NormKind::layer, x.data(), out.data(), count, y.data(), y.data(), 1e-5});
  }
}

// Few queries and many, f32 and, on tiles, f16.
TEST_P(CpuKernels, AttentionStaysInItsHeadsAndWorkSpace) {
  for (const std::int64_t size : {5, 32, 80, 96}) {
    for (const DType type : {DType::F32, DType::F16}) {
      for (const std::int64_t rows : {2, 16, 67}) {
        constexpr std::int64_t kPositions = 70;
        constexpr std::int64_t kHeads = 3;
        constexpr std::int64_t kAllHeads = 5;  // of the query rows; the task has the middle three
        const auto cache = random_floats(2 * kPageTokens * size);
        std::vector<std::uint16_t> halves(cache.size());
        table().store_halves(cache.data(), static_cast<std::int64_t>(cache.size()), halves.data());
        const auto query = random_floats(rows * kAllHeads * size, 2);
        const std::int32_t pages[] = {1, 0};
        const bool is_half = type == DType::F16;
        HeadPages head;
        head.first = is_half ? reinterpret_cast<const std::byte*>(halves.data())
                             : reinterpret_cast<const std::byte*>(cache.data());
        head.row_bytes = size * (is_half ? 2 : 4);
        head.bundle_stride = kBundlePages * kPageTokens * head.row_bytes;
        head.size = head.stored_size = size;
        head.type = type;
        head.format = &table().format(type);
        Guarded<float> out(rows * kAllHeads * size, -1.0F);
        Guarded<float> work(attend_floats(size, size));
        Attend task;
        task.query = query.data() + size;
        task.query_stride = task.out_stride = kAllHeads * size;
        task.rows = rows;
        task.heads = kHeads;
        task.keys = task.values = head;
        task.pages = pages;
        task.first_position = kPositions - rows;
        task.end = kPositions;
        task.out = out.data() + size;
        task.work = work.data();
        table().attend(task);
        for (std::int64_t i = 0; i < rows * kAllHeads * size; ++i) {
          const std::int64_t h = i / size % kAllHeads;
          EXPECT_EQ(out[i] == -1.0F, h < 1 || h > kHeads) << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuKernels, ::testing::ValuesIn(available_targets()),
                         test::target_name);

}  // namespace
}  // namespace ingot::internal::cpu
