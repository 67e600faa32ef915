// Which weights the CPU interleaves: broken when one that its kernels could read so stays in the
// file's order, which costs most of the speed, or when one they read by other parts does not.
#include <gtest/gtest.h>

#include "cpu/dispatch/dispatch.hpp"
#include "cpu/quant/pack.hpp"
#include "ingot/gguf_writer.hpp"

namespace ingot::internal::cpu {
namespace {

/// A latent attention and its weights, in one piece or split.
struct LatentProgram {
  LatentProgram(DType type, std::int64_t plain, std::int64_t value, bool split) {
    program.context = 64;
    program.values = {{"query", Rows::tokens, kHeads * (plain + 8)},
                      {"out", Rows::tokens, kHeads * value}};
    program.states.push_back({"latents", 1, kLatent + 8, kLatent});
    program.states.back().values_in_keys = true;
    ops::LatentAttention op;
    op.query = {0};
    op.out = {1};
    op.state = {0};
    if (split) {
      op.keys = tensor("k_b", type, plain, kLatent, kHeads);
      op.values = tensor("v_b", type, kLatent, value, kHeads);
    } else {
      op.keys = tensor("kv_b", type, kLatent, kHeads * (plain + value), 1);
    }
    op.head_count = kHeads;
    op.plain_size = plain;
    op.turned_size = 8;
    op.value_size = value;
    program.instructions = {op};
    weights = std::make_shared<Weights>(GgufFile::from_bytes(writer.to_bytes(), "latent"), program);
  }

  WeightOperand tensor(const char* name, DType type, std::int64_t columns, std::int64_t rows,
                       std::int64_t experts) {
    program.tensors.push_back({name, type, columns, rows, experts});
    writer.add_tensor(name, type,
                      experts > 1 ? std::vector<std::int64_t>{columns, rows, experts}
                                  : std::vector<std::int64_t>{columns, rows},
                      std::vector<std::byte>(program.tensors.back().bytes()));
    const TensorId id{static_cast<std::int32_t>(program.tensors.size()) - 1};
    return {id, {0, rows}, {0, columns}, {0, experts}};
  }

  std::vector<std::int64_t> packed_rows() const {
    const PackedWeights packed(
        program, weights, select_target(),
        [](std::int64_t count, const std::function<void(std::int64_t)>& body) {
          for (std::int64_t i = 0; i < count; ++i) body(i);
        },
        {});
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < program.tensors.size(); ++i) {
      rows.push_back(packed.packed_rows({static_cast<std::int32_t>(i)}));
    }
    return rows;
  }

  static constexpr std::int64_t kHeads = 3;
  static constexpr std::int64_t kLatent = 256;

  Program program;
  std::shared_ptr<const Weights> weights;
  GgufWriter writer;
};

using RowCounts = std::vector<std::int64_t>;

TEST(CpuPacking, LatentWeightsOfWholeGroupsAreInterleaved) {
  EXPECT_EQ(LatentProgram(DType::Q4_K, 48, 32, false).packed_rows(), RowCounts{3 * 80});
  EXPECT_EQ(LatentProgram(DType::Q8_0, 16, 16, false).packed_rows(), RowCounts{3 * 32});
  EXPECT_EQ(LatentProgram(DType::Q8_0, 32, 35, true).packed_rows(), (RowCounts{256, 32}));
}

TEST(CpuPacking, LatentWeightsWhoseHeadsShareAGroupKeepTheFilesOrder) {
  EXPECT_EQ(LatentProgram(DType::Q4_K, 40, 40, false).packed_rows(), RowCounts{0});
  EXPECT_EQ(LatentProgram(DType::Q4_K, 16, 24, false).packed_rows(), RowCounts{0});
  EXPECT_EQ(LatentProgram(DType::F16, 32, 32, false).packed_rows(), RowCounts{0});
}

}  // namespace
}  // namespace ingot::internal::cpu
