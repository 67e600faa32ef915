// LatentAttention, absorbed: each head's query goes through its key weight, attention runs over the
// latents as over keys of one KV head whose values are the keys' first columns, and the result goes
// through the head's value weight. Value weights, and key weights that are stored transposed
// (attn_k_b), are products like MatMul's; key weights within kv_b are read against their rows, so
// that no transposed copy is made of them. Prompts may be expanded instead (latent_expanded.hpp).
#include "cpu/ops/latent_attention.hpp"

#include <algorithm>
#include <array>

#include "cpu/ops/build.hpp"
#include "cpu/ops/choose.hpp"
#include "cpu/ops/conditional_kernel.hpp"
#include "cpu/ops/latent_expanded.hpp"

namespace ingot::internal::cpu {
namespace {

/// Activation rows per task. On tiles 256 take three times as long as decoding a head's weight.
constexpr std::int64_t kRowsPerTask = 256;

/// The same where panels of weights are decoded to f32 and the sums of all rows pass by each: they
/// should stay in the second-level cache.
constexpr std::int64_t kPanelRowsPerTask = 64;

std::int64_t whole_lines(std::int64_t floats) {
  return divide_up(floats, 16) * 16;
}

/// Where the shared work space holds what, for a step of so many rows.
struct Space {
  Space(const ops::LatentAttention& op, const Program& program)
      : heads(op.head_count),
        key_size(program.state(op.state).key_size),
        latent(program.state(op.state).value_size) {}

  std::int64_t query_floats(std::int64_t rows) const {
    return whole_lines(rows * heads * key_size);
  }
  std::int64_t mixed_floats(std::int64_t rows) const { return whole_lines(rows * heads * latent); }
  std::int64_t floats(std::int64_t rows) const { return query_floats(rows) + mixed_floats(rows); }

  float* queries(const StepContext& step) const { return step.shared; }
  float* mixed(const StepContext& step) const {
    return step.shared + query_floats(step.input.rows(Rows::tokens));
  }

  std::int64_t heads;
  std::int64_t key_size;  ///< latent and turned columns
  std::int64_t latent;
};

/// Some columns of some rows.
struct Part {
  float* first = nullptr;
  std::int64_t stride = 0;
};

using HeadWeightOf = ops::HeadWeight (*)(const ops::LatentAttention&, std::int64_t);

// What the first and the last kernel share: every head has a weight of its own. A task is a block
// of rows times the weight of one head.
class HeadKernel : public Kernel {
 public:
  HeadKernel(const ops::LatentAttention& op, const BuildContext& context, HeadWeightOf weight_of)
      : op_(op), space_(op, context.program), table_(context.table) {
    for (std::int64_t h = 0; h < op.head_count; ++h) {
      weights_.push_back(context.rows(weight_of(op, h).weight));
    }
    paths_ = context.paths(*weights_.front().format);
  }

  WorkSpace work_space(const StepLimits& limits) const override {
    std::int64_t floats = 0;
    for (const std::int64_t rows : {std::min(limits.tokens, kFewRows), limits.tokens}) {
      const Path& path = paths_.of(rows);
      floats = std::max(floats, prepared_space(*path.form, rows) + path.work_floats);
    }
    return {static_cast<std::uint64_t>(space_.floats(limits.tokens)) * sizeof(float),
            static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return space_.heads * divide_up(step.input.rows(Rows::tokens), rows_per_task());
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t head = task % space_.heads;
    const std::int64_t first = task / space_.heads * rows_per_task();
    const std::int64_t rows = std::min(rows_per_task(), step.input.rows(Rows::tokens) - first);
    run_head(step, worker_space, head, {first, first + rows});
  }

 protected:
  virtual std::int64_t rows_per_task() const noexcept { return kRowsPerTask; }
  virtual void run_head(const StepContext& step, float* worker_space, std::int64_t head,
                        Range rows) const noexcept = 0;

  const WeightRows& weight(std::int64_t head) const {
    return weights_[static_cast<std::size_t>(head)];
  }

  /// out = in times the head's weight. Rows are prepared here, since no other task wants them.
  void multiply_head(const StepContext& step, std::int64_t head, const Part& in, std::int64_t rows,
                     const Part& out, float* worker_space) const {
    const WeightRows& whole = weight(head);
    const std::int64_t all_rows = step.input.rows(Rows::tokens);
    const Path& path = paths_.of(all_rows);
    Product product;
    product.in = {.first = in.first, .stride = in.stride, .count = rows, .columns = whole.columns};
    product.rows = rows;
    product.prepared = worker_space;
    prepare_all(table_, product.in, {path.form, worker_space, whole.columns});
    product.weight = whole;
    product.out = out.first;
    product.out_stride = out.stride;
    multiply_all(path, table_, product, worker_space + prepared_space(*path.form, all_rows));
  }

  ops::LatentAttention op_;
  Space space_;
  const KernelTable& table_;

 private:
  std::int64_t prepared_space(const Form& form, std::int64_t rows) const {
    return whole_lines(form.floats(std::min(rows, kRowsPerTask), weights_.front().columns));
  }

  std::vector<WeightRows> weights_;
  ProductPaths paths_;
};

// [K_h^T q, turned columns] of every head.
class AbsorbKernel final : public HeadKernel {
 public:
  AbsorbKernel(const ops::LatentAttention& op, const BuildContext& context)
      : HeadKernel(op, context, ops::key_weight),
        is_transposed_(ops::key_weight(op, 0).transposed),
        multiply_(is_packed() ? table_.packed(weight(0).format->type).transposed
                              : table_.transposed) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    WorkSpace space = HeadKernel::work_space(limits);
    if (!is_transposed_) {
      space.worker_bytes =
          static_cast<std::uint64_t>(transposed_work_floats(weight(0).columns)) * sizeof(float);
    }
    return space;
  }

 protected:
  std::int64_t rows_per_task() const noexcept override {
    return is_transposed_ || is_packed() ? kRowsPerTask : kPanelRowsPerTask;
  }

  void run_head(const StepContext& step, float* worker_space, std::int64_t head,
                Range rows) const noexcept override {
    const std::int64_t size = op_.plain_size + op_.turned_size;
    const Part in = {step.value(op_.query) + (rows.begin * space_.heads + head) * size,
                     space_.heads * size};
    const Part out = {space_.queries(step) + (rows.begin * space_.heads + head) * space_.key_size,
                      space_.heads * space_.key_size};
    if (is_transposed_) {
      multiply_head(step, head, in, rows.size(), out, worker_space);
    } else {
      multiply_({.weight = weight(head),
                 .in = in.first,
                 .in_stride = in.stride,
                 .rows = rows.size(),
                 .out = out.first,
                 .out_stride = out.stride,
                 .work = worker_space});
    }
    for (std::int64_t r = 0; r < rows.size(); ++r) {
      std::copy_n(in.first + r * in.stride + op_.plain_size, op_.turned_size,
                  out.first + r * out.stride + space_.latent);
    }
  }

 private:
  bool is_packed() const noexcept { return weight(0).packed_rows == weight(0).rows; }

  bool is_transposed_;
  void (*multiply_)(const TransposedProduct&);
};

// V_h times the weighted latents of every head.
class ExpandKernel final : public HeadKernel {
 public:
  ExpandKernel(const ops::LatentAttention& op, const BuildContext& context)
      : HeadKernel(op, context, ops::value_weight) {}

 protected:
  void run_head(const StepContext& step, float* worker_space, std::int64_t head,
                Range rows) const noexcept override {
    const std::int64_t at = rows.begin * space_.heads + head;
    multiply_head(
        step, head, {space_.mixed(step) + at * space_.latent, space_.heads * space_.latent},
        rows.size(), {step.value(op_.out) + at * op_.value_size, space_.heads * op_.value_size},
        worker_space);
  }
};

// A kernel of Attention that finds its query and output in this instruction's work space.
class InnerKernel final : public Kernel {
 public:
  InnerKernel(std::shared_ptr<const Kernel> kernel, const Space& space)
      : kernel_(std::move(kernel)), space_(space) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    WorkSpace space = kernel_->work_space(limits);
    space.shared_bytes += static_cast<std::uint64_t>(space_.floats(limits.tokens)) * sizeof(float);
    return space;
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return inside(step, [&](const StepContext& inner) { return kernel_->task_count(inner); });
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    inside(step, [&](const StepContext& inner) {
      kernel_->run(inner, worker_space, task);
      return 0;
    });
  }

 private:
  template <class Call>
  std::int64_t inside(const StepContext& step, Call call) const noexcept {
    const std::array<float*, 2> values = {space_.queries(step), space_.mixed(step)};
    StepContext inner = step;
    inner.values = values;
    inner.shared = step.shared + space_.floats(step.input.rows(Rows::tokens));
    return call(inner);
  }

  std::shared_ptr<const Kernel> kernel_;
  Space space_;
};

// Attention over the latents, in a program of its own: value 0 is the query, value 1 the output.
Built build_inner(const ops::LatentAttention& op, const Space& space, const BuildContext& context) {
  Program program;
  program.values = {{"absorbed", Rows::tokens, space.heads * space.key_size},
                    {"mixed", Rows::tokens, space.heads * space.latent}};
  program.states = context.program.states;
  program.context = context.program.context;
  ops::Attention attention;
  attention.query = {0};
  attention.out = {1};
  attention.state = op.state;
  attention.head_count = op.head_count;
  attention.scale = op.scale;
  return build(attention, {program, context.table, context.weights, context.numerics});
}

}  // namespace

Built build(const ops::LatentAttention& op, const BuildContext& context) {
  const Space space(op, context.program);
  Built inner = build_inner(op, space, context);
  if (std::holds_alternative<Unsupported>(inner)) return inner;
  Kernels absorbed;
  absorbed.push_back(std::make_unique<const AbsorbKernel>(op, context));
  for (auto& kernel : std::get<Kernels>(inner)) {
    absorbed.push_back(std::make_unique<const InnerKernel>(std::move(kernel), space));
  }
  absorbed.push_back(std::make_unique<const ExpandKernel>(op, context));

  const auto expansion = std::make_shared<const Expansion>(op, context);
  if (!expansion->exists()) return absorbed;
  Kernels kernels;
  const auto add = [&](Kernels form, bool is_expanded) {
    for (auto& kernel : form) {
      kernels.push_back(std::make_unique<const ConditionalKernel>(
          std::move(kernel), [expansion, is_expanded](const StepContext& step) {
            return expansion->suits(step) == is_expanded;
          }));
    }
  };
  add(std::move(absorbed), false);
  add(expansion->kernels(), true);
  return kernels;
}

}  // namespace ingot::internal::cpu
