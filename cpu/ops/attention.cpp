#include "src/ops/attention.hpp"

#include <algorithm>
#include <optional>

#include "cpu/ops/attention_matmul.hpp"
#include "cpu/ops/choose.hpp"
#include "cpu/ops/conditional_kernel.hpp"
#include "cpu/ops/norm_matmul.hpp"
#include "cpu/ops/row_blocks.hpp"
#include "src/state/row_rotation.hpp"

namespace ingot::internal::cpu {
namespace {

// The widest row that a block type pads a row of `size` to.
constexpr std::int64_t kWidestBlock = 32;
std::int64_t stored_at_most(std::int64_t size) {
  return divide_up(size, kWidestBlock) * kWidestBlock;
}

// What both kernels know of the instruction.
struct Shape {
  Shape(const ops::Attention& op, const BuildContext& context)
      : table(&context.table),
        paths(context.table, context.numerics),
        query(op.query),
        out(op.out),
        state(op.state),
        group(context.program.state(op.state).group),
        heads(op.head_count),
        kv_heads(context.program.state(op.state).kv_head_count),
        key_size(context.program.state(op.state).key_size),
        value_size(context.program.state(op.state).value_size),
        window(op.window),
        context_splits(divide_up(context.program.context, kSplitTokens)),
        scale(static_cast<float>(op.scale)),
        soft_cap(static_cast<float>(op.soft_cap)),
        sinks(context.vector(op.sinks)) {}

  /// Query heads of a KV head, in how many groups, of how many heads each.
  std::int64_t share() const { return heads / kv_heads; }
  std::int64_t groups_per_kv_head() const { return divide_up(share(), kQueryHeads); }

  /// What a row can be stored as, at most: block types pad it.
  std::int64_t stored_key_size() const { return stored_at_most(key_size); }
  std::int64_t stored_value_size() const { return stored_at_most(value_size); }

  std::int64_t most_rows() const {
    return rows_per_task(std::min(kQueryHeads, share()), stored_key_size(), stored_value_size());
  }
  /// Rows times heads of a task.
  std::int64_t most_queries() const { return most_rows() * std::min(kQueryHeads, share()); }

  RowBlocks row_blocks(const StepContext& step) const noexcept {
    return {step, kv_heads * groups_per_kv_head(), most_rows()};
  }

  std::int64_t split_floats() const { return kSplitHeadFloats + padded(value_size); }

  /// Splits of the longest sequence, 1 if the step is not split.
  std::int64_t splits(const StepContext& step) const noexcept {
    std::int64_t longest = 0;
    for (const StepSequence& s : step.input.sequences) {
      longest = std::max<std::int64_t>(longest, s.cached + s.row_count);
    }
    const std::int64_t count = paths.splits(step.input.rows(Rows::tokens), longest);
    // A sequence longer than the program was written for has no space for its splits.
    return count <= context_splits ? count : 1;
  }

  const KernelTable* table;
  AttentionPaths paths;
  ValueId query;
  ValueId out;
  StateId state;
  std::int32_t group;
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t key_size;
  std::int64_t value_size;
  std::int64_t window;
  std::int64_t context_splits;
  float scale;
  float soft_cap;
  const float* sinks;
};

// Whether a step's results are the input of `next` as its tiles. Steps with splits have too few
// rows for tiles.
bool writes_tiles(const MatMulData& next, const StepContext& step) {
  return &next.form(next.step_rows(step)) == &forms::tiles;
}

class AttendKernel final : public Kernel {
 public:
  /// `rope` and `next` may be null.
  AttendKernel(const Shape& shape, const ops::Rope* rope, std::shared_ptr<const MatMulData> next)
      : shape_(shape), next_(std::move(next)) {
    if (rope != nullptr) rope_ = *rope;
  }

  WorkSpace work_space(const StepLimits& limits) const override {
    const std::int64_t rows = std::min(limits.tokens, kSplitRows);
    const std::int64_t shared = rows * shape_.heads * shape_.context_splits * shape_.split_floats();
    std::int64_t worker = attend_floats(shape_.stored_key_size(), shape_.stored_value_size());
    if (shape_.paths.always_splits()) worker += 2 * shape_.most_queries() * shape_.split_floats();
    return {static_cast<std::uint64_t>(shared) * sizeof(float),
            static_cast<std::uint64_t>(worker) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return shape_.row_blocks(step).count() * shape_.splits(step) * shape_.kv_heads *
           shape_.groups_per_kv_head();
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t splits = shape_.splits(step);
    const std::int64_t groups = shape_.groups_per_kv_head();
    const std::int64_t split = task % splits;
    task /= splits;
    // All rows of a KV head are neighbours: threads' shares are of other heads, and alike.
    const RowBlocks blocks = shape_.row_blocks(step);
    const RowBlock block = blocks.from_end(task % blocks.count());
    task /= blocks.count();
    const std::int64_t group = task % groups;
    const std::int64_t kv_head = task / groups;

    const std::int64_t head = kv_head * shape_.share() + group * kQueryHeads;
    Attend arguments;
    arguments.query = step.value(rope_ ? rope_->in : shape_.query) +
                      block.first_row * shape_.heads * shape_.key_size + head * shape_.key_size;
    arguments.query_stride = shape_.heads * shape_.key_size;
    if (rope_) {
      const auto& table = step.input.rope[static_cast<std::size_t>(rope_->table)];
      arguments.rotation = {table.data() + block.first_row * rope_->rotary_size, rope_->rotary_size,
                            rope_->rotary_offset, rope_->layout};
    }
    arguments.rows = block.rows;
    arguments.heads = std::min(kQueryHeads, shape_.share() - group * kQueryHeads);
    arguments.keys = pages_of(step.states.keys(shape_.state), kv_head);
    arguments.values = pages_of(step.states.values(shape_.state), kv_head);
    arguments.pages = step.input.pages(*block.sequence, shape_.group);
    arguments.first_position = block.first_position;
    arguments.end = block.first_position + block.rows;
    arguments.window = shape_.window;
    arguments.scale = shape_.scale;
    arguments.soft_cap = shape_.soft_cap;
    if (splits == 1) {
      arguments.sinks = shape_.sinks == nullptr ? nullptr : shape_.sinks + head;
      arguments.out = step.value(shape_.out) + block.first_row * shape_.heads * shape_.value_size +
                      head * shape_.value_size;
      arguments.out_stride = shape_.heads * shape_.value_size;
      if (next_ != nullptr && writes_tiles(*next_, step)) {
        arguments.tiles = {reinterpret_cast<std::uint16_t*>(step.shared), next_->columns,
                           block.first_row, head * shape_.value_size};
      }
    } else {
      // A sequence shorter than the longest has empty splits: they say that they saw nothing.
      arguments.begin = split * kSplitTokens;
      arguments.end = std::min(arguments.end, arguments.begin + kSplitTokens);
      const std::int64_t floats = shape_.split_floats();
      arguments.split_stride = splits * floats;
      arguments.split_row_stride = shape_.heads * splits * floats;
      arguments.split = step.shared + block.first_row * arguments.split_row_stride +
                        head * arguments.split_stride + split * floats;
    }
    arguments.work = worker_space;
    shape_.paths.choose(arguments);
    if (splits == 1 && shape_.paths.always_splits() && arguments.end > kSplitTokens) {
      return attend_in_splits(arguments);
    }
    shape_.table->attend(arguments);
  }

 private:
  // The task's splits one after the other, added up as MergeKernel does.
  void attend_in_splits(const Attend& whole) const {
    const std::int64_t floats = shape_.split_floats();
    float* sums = whole.work + attend_floats(shape_.stored_key_size(), shape_.stored_value_size());
    float* next = sums + shape_.most_queries() * floats;
    Attend part = whole;
    part.sinks = nullptr;
    part.split_stride = floats;
    part.split_row_stride = whole.heads * floats;
    const std::int64_t seen =
        whole.window > 0 ? std::max<std::int64_t>(0, whole.first_position - whole.window + 1) : 0;
    const std::int64_t first = seen / kSplitTokens;
    for (std::int64_t s = first; s * kSplitTokens < whole.end; ++s) {
      part.begin = s * kSplitTokens;
      part.end = std::min(whole.end, part.begin + kSplitTokens);
      part.split = s == first ? sums : next;
      shape_.table->attend(part);
      if (s == first) continue;
      shape_.table->add_splits({.into = sums,
                                .from = next,
                                .into_stride = floats,
                                .from_stride = floats,
                                .count = whole.rows * whole.heads,
                                .size = shape_.value_size});
    }
    for (std::int64_t q = 0; q < whole.rows * whole.heads; ++q) {
      const std::int64_t head = q % whole.heads;
      shape_.table->merge_splits(
          {.splits = sums + q * floats,
           .stride = floats,
           .count = 1,
           .size = shape_.value_size,
           .sink = whole.sinks == nullptr ? nullptr : whole.sinks + head,
           .out = whole.out + q / whole.heads * whole.out_stride + head * shape_.value_size});
    }
  }

  HeadPages pages_of(const StateRows& rows, std::int64_t kv_head) const {
    HeadPages out;
    out.first = rows.row(0, kv_head, 0);
    out.bundle_stride = static_cast<std::int64_t>(rows.bundle_bytes());
    out.row_bytes = static_cast<std::int64_t>(rows.row_bytes);
    out.size = rows.size;
    out.format = &shape_.table->format(rows.type);
    out.type = rows.type;
    out.rotated = is_rotated(rows.type);
    out.stored_size = divide_up(rows.size, out.format->block_size) * out.format->block_size;
    return out;
  }

  Shape shape_;
  std::optional<ops::Rope> rope_;
  std::shared_ptr<const MatMulData> next_;
};

// A task is a row: its heads' splits are merged.
class MergeKernel final : public Kernel {
 public:
  explicit MergeKernel(const Shape& shape) : shape_(shape) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return shape_.splits(step) > 1 ? step.input.rows(Rows::tokens) : 0;
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int64_t splits = shape_.splits(step);
    const std::int64_t floats = shape_.split_floats();
    float* const row = step.shared + task * shape_.heads * splits * floats;
    const bool in_turn = shape_.paths.always_splits();
    for (std::int64_t s = 1; in_turn && s < splits; ++s) {
      shape_.table->add_splits({.into = row,
                                .from = row + s * floats,
                                .into_stride = splits * floats,
                                .from_stride = splits * floats,
                                .count = shape_.heads,
                                .size = shape_.value_size});
    }
    for (std::int64_t head = 0; head < shape_.heads; ++head) {
      const std::int64_t at = task * shape_.heads + head;
      shape_.table->merge_splits({.splits = step.shared + at * splits * floats,
                                  .stride = floats,
                                  .count = in_turn ? 1 : splits,
                                  .size = shape_.value_size,
                                  .sink = shape_.sinks == nullptr ? nullptr : shape_.sinks + head,
                                  .out = step.value(shape_.out) + at * shape_.value_size});
    }
  }

 private:
  Shape shape_;
};

}  // namespace

bool takes_rope(const ops::Attention& op, const ops::Rope& rope, const BuildContext& context) {
  return rope.out == op.query && rope.head_size == context.program.state(op.state).key_size;
}

bool takes_next(const ops::Attention& op, const ops::MatMul& next, const BuildContext& context) {
  return next.in == op.out && takes_prepared(next, context) &&
         context.program.state(op.state).value_size % 32 == 0;
}

AttentionMatMul build_around(const AroundAttention& around, const ops::Attention& op,
                             const BuildContext& context) {
  const Shape shape(op, context);
  const auto next =
      around.next == nullptr ? nullptr : std::make_shared<const MatMulData>(*around.next, context);
  AttentionMatMul out;
  out.attention.push_back(std::make_shared<const AttendKernel>(shape, around.rope, next));
  out.attention.push_back(std::make_shared<const MergeKernel>(shape));
  if (next == nullptr) return out;
  out.next.push_back(std::make_shared<const ConditionalKernel>(
      std::make_shared<const PrepareKernel>(next),
      [next](const StepContext& step) { return !writes_tiles(*next, step); }));
  out.next.push_back(std::make_shared<const ProductKernel>(next));
  return out;
}

Built build(const ops::Attention& op, const BuildContext& context) {
  return build_around({}, op, context).attention;
}

}  // namespace ingot::internal::cpu
