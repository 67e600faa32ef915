#include "cpu/ops/latent_expanded.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "cpu/ops/choose.hpp"
#include "cpu/ops/row_blocks.hpp"
#include "cpu/quant/packed.hpp"

namespace ingot::internal::cpu {
namespace {

/// Keys and values of so many bytes are held at most; steps that see more positions are absorbed,
/// which at 4,096 of them takes twice as long.
constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;

/// Positions per task of products: their latents in tiles, at most 512 KiB in DeepSeek's models,
/// stay in the second-level cache for all heads.
constexpr std::int64_t kPositionsPerTask = kTileActivationRows;

/// Bytes of the elements that keys and values are kept in, f16: what a cache of them would round.
constexpr std::int64_t kHalfBytes = 2;

std::int64_t whole_pages(std::int64_t positions) {
  return divide_up(positions, kPageTokens) * kPageTokens;
}

std::int64_t positions_of(const StepSequence& sequence) {
  return whole_pages(sequence.cached + sequence.row_count);
}

std::uint16_t* halves(const StepContext& step, std::int64_t floats) {
  return reinterpret_cast<std::uint16_t*>(step.shared + floats);
}

// Decodes the cached rows of 32 positions: latents into tiles, turned columns to f16.
class GatherKernel final : public Kernel {
 public:
  explicit GatherKernel(const Expansion& expansion) : expansion_(expansion) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    const std::int64_t row = expansion_.latent + expansion_.op.turned_size;
    return {static_cast<std::uint64_t>(expansion_.largest_layout(limits).end) * sizeof(float),
            static_cast<std::uint64_t>(forms::tiles.rows * row) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return expansion_.layout(step).positions / forms::tiles.rows;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const Expansion& x = expansion_;
    const Expansion::Layout layout = x.layout(step);
    const std::int64_t block = forms::tiles.rows;
    const StateRows& rows = step.states.keys(x.op.state);
    std::int64_t begin = 0;  // of the sequence
    for (const StepSequence& sequence : step.input.sequences) {
      const std::int64_t first = task * block - begin;
      begin += positions_of(sequence);
      if (task * block >= begin) continue;
      const std::int64_t end = sequence.cached + sequence.row_count;
      const std::int64_t count = std::clamp<std::int64_t>(end - first, 0, block);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t p = first + i;
        const std::int32_t page = step.input.pages(sequence, x.group)[p / kPageTokens];
        float* row = worker_space + i * rows.size;
        decode_state_row(rows.type, rows.row(page, 0, p % kPageTokens),
                         {row, static_cast<std::size_t>(rows.size)});
        x.table.store_halves(row + x.latent, x.op.turned_size,
                             halves(step, layout.turned) + (task * block + i) * x.op.turned_size);
      }
      auto* tiles =
          reinterpret_cast<std::uint16_t*>(step.shared) + tile_halves(task * block, x.latent);
      x.table.pack_tiles({.in = worker_space,
                          .in_stride = rows.size,
                          .rows = count,
                          .columns = x.latent,
                          .out = tiles});
      return;
    }
  }

 private:
  Expansion expansion_;
};

// A task is the keys or the values of one head for a block of positions.
class ProjectKernel final : public Kernel {
 public:
  explicit ProjectKernel(const Expansion& expansion) : expansion_(expansion) {}

  WorkSpace work_space(const StepLimits&) const override {
    const std::int64_t size = std::max(expansion_.op.plain_size, expansion_.op.value_size);
    return {0, static_cast<std::uint64_t>(kPositionsPerTask * size + paths::tiles.work_floats) *
                   sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    const std::int64_t blocks = divide_up(expansion_.layout(step).positions, kPositionsPerTask);
    return blocks * expansion_.op.head_count * 2;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const Expansion& x = expansion_;
    const Expansion::Layout layout = x.layout(step);
    const bool is_value = task % 2 == 1;
    const std::int64_t head = task / 2 % x.op.head_count;
    const std::int64_t first = task / 2 / x.op.head_count * kPositionsPerTask;
    const std::int64_t count = std::min(kPositionsPerTask, layout.positions - first);
    const WeightRows& weight =
        (is_value ? x.heads->values : x.heads->keys)[static_cast<std::size_t>(head)];

    float* made = worker_space;  // [count, weight.rows]
    Product product;
    product.in.columns = x.latent;
    product.in.count = layout.positions;
    product.first_row = first;
    product.rows = count;
    product.prepared = step.shared;
    product.weight = weight;
    product.out = made;
    product.out_stride = weight.rows;
    product.reused = true;
    multiply_all(paths::tiles, x.table, product, worker_space + kPositionsPerTask * weight.rows);

    const std::int64_t size = is_value ? x.op.value_size : x.key_size();
    std::uint16_t* out = halves(step, is_value ? layout.values : layout.keys) +
                         (head * layout.positions + first) * size;
    const std::uint16_t* turned = halves(step, layout.turned) + first * x.op.turned_size;
    for (std::int64_t i = 0; i < count; ++i, out += size, turned += x.op.turned_size) {
      x.table.store_halves(made + i * weight.rows, weight.rows, out);
      if (!is_value) std::copy_n(turned, x.op.turned_size, out + x.op.plain_size);
    }
  }

 private:
  Expansion expansion_;
};

// A task is one head for some rows of one sequence.
class AttendExpandedKernel final : public Kernel {
 public:
  explicit AttendExpandedKernel(const Expansion& expansion) : expansion_(expansion) {}

  WorkSpace work_space(const StepLimits&) const override {
    const std::int64_t floats = attend_floats(expansion_.key_size(), expansion_.op.value_size);
    return {0, static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return row_blocks(step).count() * expansion_.op.head_count;
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const Expansion& x = expansion_;
    const RowBlocks blocks = row_blocks(step);
    const std::int64_t head = task / blocks.count();
    const RowBlock block = blocks.from_end(task % blocks.count());
    std::int64_t begin = 0;  // of the sequence's positions
    for (const StepSequence& sequence : step.input.sequences) {
      if (&sequence == block.sequence) break;
      begin += positions_of(sequence);
    }
    const Expansion::Layout layout = x.layout(step);
    Attend attend;
    attend.query =
        step.value(x.op.query) + (block.first_row * x.op.head_count + head) * x.key_size();
    attend.query_stride = x.op.head_count * x.key_size();
    attend.rows = block.rows;
    attend.heads = 1;
    attend.keys =
        pages_of(step, layout.keys + head * layout.positions * x.key_size() / 2, x.key_size());
    attend.values = pages_of(step, layout.values + head * layout.positions * x.op.value_size / 2,
                             x.op.value_size);
    attend.pages = x.pages->data() + begin / kPageTokens;
    attend.first_position = block.first_position;
    attend.end = block.first_position + block.rows;
    attend.scale = static_cast<float>(x.op.scale);
    attend.out =
        step.value(x.op.out) + (block.first_row * x.op.head_count + head) * x.op.value_size;
    attend.out_stride = x.op.head_count * x.op.value_size;
    attend.work = worker_space;
    AttentionPaths(x.table, {}).choose(attend);
    x.table.attend(attend);
  }

 private:
  RowBlocks row_blocks(const StepContext& step) const {
    const Expansion& x = expansion_;
    return {step, x.op.head_count, rows_per_task(1, x.key_size(), x.op.value_size)};
  }

  HeadPages pages_of(const StepContext& step, std::int64_t floats, std::int64_t size) const {
    HeadPages out;
    out.first = reinterpret_cast<const std::byte*>(step.shared + floats);
    out.row_bytes = size * kHalfBytes;
    out.bundle_stride = kBundlePages * kPageTokens * out.row_bytes;
    out.size = size;
    out.stored_size = size;
    out.type = DType::F16;
    out.format = &expansion_.table.format(DType::F16);
    return out;
  }

  Expansion expansion_;
};

}  // namespace

Expansion::Expansion(const ops::LatentAttention& given, const BuildContext& context)
    : op(given),
      table(context.table),
      group(context.program.state(op.state).group),
      latent(context.program.state(op.state).value_size),
      context_(whole_pages(context.program.context)) {
  const FormatKernels& format = table.format(context.program.tensor(op.keys.tensor).type);
  // Keys that are stored transposed have no product with latents, and rows behind the last whole
  // group of a head would want their latents as f32.
  if (op.values || op.plain_size % kGroupRows != 0 || op.value_size % kGroupRows != 0 ||
      !may_expand(table, context.numerics, format)) {
    return;
  }
  const std::int64_t elements =
      latent + op.turned_size + op.head_count * (key_size() + op.value_size);
  capacity_ = kMostBytes / (elements * kHalfBytes) / kPageTokens * kPageTokens;
  auto weights = std::make_shared<Heads>();
  for (std::int64_t h = 0; h < op.head_count; ++h) {
    weights->keys.push_back(context.rows(ops::key_weight(op, h).weight));
    weights->values.push_back(context.rows(ops::value_weight(op, h).weight));
  }
  heads = std::move(weights);
  auto numbers = std::make_shared<std::vector<std::int32_t>>(
      static_cast<std::size_t>(capacity_ / kPageTokens));
  std::iota(numbers->begin(), numbers->end(), 0);
  pages = std::move(numbers);
}

bool Expansion::suits(const StepContext& step) const noexcept {
  // F32 caches keep f32 products.
  if (!exists() || step.input.rows(Rows::tokens) <= kFewRows ||
      step.states.keys(op.state).type == DType::F32) {
    return false;
  }
  std::int64_t positions = 0;
  double cached = 0;
  double pairs = 0;
  for (const StepSequence& s : step.input.sequences) {
    if (positions_of(s) > context_) return false;
    positions += positions_of(s);
    const auto rows = static_cast<double>(s.row_count);
    const auto before = static_cast<double>(s.cached);
    cached += before;
    pairs += rows * (before + rows / 2);
  }
  if (positions > capacity_) return false;
  // Attention multiplies numbers that are sums of two bf16 in three products.
  constexpr double kProducts = 3;
  const auto saved = static_cast<double>(2 * latent - op.plain_size - op.value_size);
  const auto spent = static_cast<double>(latent * (op.plain_size + op.value_size));
  return kProducts * pairs * saved >= cached * spent;
}

Expansion::Layout::Layout(const Expansion& x, std::int64_t count)
    : positions(count),
      turned(tile_halves(count, x.latent) / 2),
      keys(turned + count * x.op.turned_size / 2),
      values(keys + count * x.op.head_count * x.key_size() / 2),
      end(values + count * x.op.head_count * x.op.value_size / 2) {}

Expansion::Layout Expansion::layout(const StepContext& step) const noexcept {
  std::int64_t positions = 0;
  for (const StepSequence& sequence : step.input.sequences) positions += positions_of(sequence);
  return {*this, positions};
}

Expansion::Layout Expansion::largest_layout(const StepLimits& limits) const noexcept {
  return {*this, std::min(capacity_, limits.sequences * context_)};
}

Kernels Expansion::kernels() const {
  Kernels kernels;
  kernels.push_back(std::make_unique<const GatherKernel>(*this));
  kernels.push_back(std::make_unique<const ProjectKernel>(*this));
  kernels.push_back(std::make_unique<const AttendExpandedKernel>(*this));
  return kernels;
}

}  // namespace ingot::internal::cpu
