#include "cpu/error_model.hpp"

#include <algorithm>
#include <cmath>

#include "cpu/ops/kernel.hpp"
#include "cpu/ops/product.hpp"
#include "cpu/quant/pack.hpp"
#include "cpu/quant/packed.hpp"
#include "ingot/quant/formats.hpp"

namespace ingot::internal::cpu {
namespace {

// Integers of 31 bits times scales of weights and activations, down to 2^-149.
constexpr double kLeastInteger = 0x1p-126;

// Matrix units take subnormal numbers for zero.
constexpr double kLeastTile = 0x1p-126;

// What 32 columns add to a sum of integer products: one term per scale, and one for the mins.
double terms_per_block(DType type) {
  return quant::visit_format(type, [](auto format) {
    using Format = decltype(format);
    if constexpr (Format::kIntegerGrid) {
      return 32.0 / Format::kScaleSpan + (Format::kHasMin ? 1 : 0);
    } else {
      return 0.0;
    }
  });
}

class CpuErrorModel final : public ErrorModel {
 public:
  CpuErrorModel(const Program& program, const KernelTable& table, const Numerics& numerics)
      : program_(program),
        table_(table),
        numerics_(numerics),
        packed_rows_(packed_rows(program, table)) {}

  Arithmetic arithmetic() const override {
    return {.exponential = 0x1p-21, .least_exponential = 0x1p-125};
  }

  // A chunk by lanes, the lanes, and each square.
  double norm_roundings(std::int64_t size) const override {
    return static_cast<double>(std::min<std::int64_t>(size, 256)) / lanes() + std::log2(lanes()) +
           1;
  }

  std::vector<ProductPart> product(const WeightOperand& weight, std::int64_t rows) const override {
    const Tensor& tensor = program_.tensor(weight.tensor);
    const std::int64_t all = weight.rows.size();
    const std::int64_t packed = std::clamp<std::int64_t>(
        packed_rows_[static_cast<std::size_t>(weight.tensor.index)] - weight.rows.begin, 0, all);
    const auto columns = static_cast<double>(weight.columns.size());
    std::vector<ProductPart> parts;
    const auto add = [&parts](std::int64_t count, const ProductModel& model) {
      if (count > 0) parts.push_back({count, model});
    };
    const double terms = columns / 32 * terms_per_block(tensor.type) + 9;
    const ProductModel integers{
        .activations = Rounding::i16_blocks, .roundings = terms, .smallest = kLeastInteger};
    const Path* path = &choose_product(table_, numerics_, table_.format(tensor.type)).of(rows);
    if (path == &paths::integers || path == &paths::integer_blocks) {
      add(all, integers);
    } else if (path == &paths::panels) {
      add(packed, integers);
      add(all - packed, floats(columns));
    } else if (path == &paths::tiles) {
      const std::int64_t whole = all / kGroupRows * kGroupRows;
      add(packed, tiles(Rounding::bf16_enlarged, columns));
      add(whole - packed, tiles(Rounding::bf16, columns));
      add(all - whole, floats(columns));
    } else {
      add(all, floats(columns));
    }
    return parts;
  }

  AttentionModel attention(const ops::Attention& op, const CacheTypes& types,
                           std::int64_t rows) const override {
    const StateSpec& state = program_.state(op.state);
    return attention({.types = types,
                      .key_size = state.key_size,
                      .value_size = state.value_size,
                      .rows = rows,
                      .heads = op.head_count / state.kv_head_count});
  }

  LatentModel latent_attention(const ops::LatentAttention& op, const CacheTypes& types,
                               std::int64_t rows) const override {
    const StateSpec& state = program_.state(op.state);
    const WeightOperand keys = ops::key_weight(op, 0).weight;
    LatentModel out;
    out.values = product(ops::value_weight(op, 0).weight, rows);
    if (is_expanded(op, types, rows)) {
      out.expanded = true;
      out.expanded_rows = Rounding::f16;
      out.keys = product(keys, rows);
      out.attention = attention({.types = {DType::F16, DType::F16},
                                 .key_size = op.plain_size + op.turned_size,
                                 .value_size = op.value_size,
                                 .rows = rows,
                                 .heads = 1});
      return out;
    }
    // Keys within kv_b are decoded to f32 and multiplied against their rows, one after the other.
    const ProductModel transposed{.roundings = static_cast<double>(op.plain_size) + 4};
    out.keys =
        op.values ? product(keys, rows) : std::vector<ProductPart>{{keys.rows.size(), transposed}};
    out.attention = attention({.types = {types.key, types.key},
                               .key_size = state.key_size,
                               .value_size = state.value_size,
                               .rows = rows,
                               .heads = op.head_count});
    return out;
  }

 private:
  struct AttentionShape {
    CacheTypes types;
    std::int64_t key_size = 0;
    std::int64_t value_size = 0;
    std::int64_t rows = 0;
    std::int64_t heads = 0;  ///< that share keys and values
  };

  double lanes() const { return static_cast<double>(table_.lanes); }

  // Panels of 512 columns one after the other; product, lanes, remainder and bias.
  ProductModel floats(double columns) const {
    return {.roundings = std::min(columns, 512.0) / lanes() + columns / 512 + 8};
  }

  static ProductModel tiles(Rounding weights, double columns) {
    return {.activations = Rounding::bf16,
            .weights = weights,
            .roundings = columns + 2,
            .smallest = kLeastTile};
  }

  AttentionModel attention(const AttentionShape& shape) const {
    AttentionModel out;
    out.score_roundings = static_cast<double>(shape.key_size) / lanes() + 6;
    out.sum_roundings = 2;
    out.rotates_in_f32 = true;
    const std::int64_t last = shape.rows % kQueryRows * std::min(shape.heads, kQueryHeads);
    const bool is_stored_for_tiles = stored_size(shape.types.key, shape.key_size) % 32 == 0 &&
                                     stored_size(shape.types.value, shape.value_size) % 32 == 0 &&
                                     shape.types.key != DType::F32 &&
                                     shape.types.value != DType::F32;
    const bool is_on_tiles =
        table_.pack_tiles != nullptr && is_stored_for_tiles &&
        numerics_.precision != Precision::f32 &&
        (numerics_.deterministic || shape.rows >= kQueryRows || last > kFewQueries);
    if (!is_on_tiles) return out;
    const bool is_q4 = shape.types == CacheTypes{DType::Q4_0, DType::Q4_0};
    out.scores = is_q4 ? Rounding::bf16 : Rounding::bf16_pair;
    out.values = out.scores;
    out.weights = Rounding::bf16;
    out.score_roundings = static_cast<double>(shape.key_size) * (is_q4 ? 1 : 3) + 2;
    out.smallest = kLeastTile;
    return out;
  }

  static std::int64_t stored_size(DType type, std::int64_t size) {
    return divide_up(size, block_size(type)) * block_size(type);
  }

  // As Expansion::suits (cpu/ops/latent_expanded.cpp) says of one sequence from its beginning, but
  // for steps of more positions than there is room for, which are more exact.
  bool is_expanded(const ops::LatentAttention& op, const CacheTypes& types,
                   std::int64_t rows) const {
    const FormatKernels& format = table_.format(program_.tensor(op.keys.tensor).type);
    return !op.values && op.plain_size % kGroupRows == 0 && op.value_size % kGroupRows == 0 &&
           may_expand(table_, numerics_, format) && rows > kFewRows && types.key != DType::F32 &&
           2 * program_.state(op.state).value_size >= op.plain_size + op.value_size;
  }

  const Program& program_;
  const KernelTable& table_;
  Numerics numerics_;
  std::vector<std::int64_t> packed_rows_;
};

}  // namespace

std::unique_ptr<const ErrorModel> make_error_model(const Program& program, const KernelTable& table,
                                                   const Numerics& numerics) {
  return std::make_unique<CpuErrorModel>(program, table, numerics);
}

}  // namespace ingot::internal::cpu
