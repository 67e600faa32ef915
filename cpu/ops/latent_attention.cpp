// LatentAttention, absorbed: each head's query goes through its key weight, attention runs over the
// latents as over keys of one KV head whose values are the keys' first columns, and the result goes
// through the head's value weight. kv_b is read where it lies; no derived copy of it is made.
#include "cpu/ops/latent_attention.hpp"

#include <algorithm>
#include <array>

#include "cpu/ops/build.hpp"

namespace ingot::cpu {
namespace {

/// Activation rows per task: they share the decoded weight of a head.
constexpr std::int64_t kRowsPerTask = 64;

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

  static std::int64_t whole_lines(std::int64_t floats) { return divide_up(floats, 16) * 16; }

  std::int64_t heads;
  std::int64_t key_size;  ///< latent and turned columns
  std::int64_t latent;
};

struct Head {
  WeightRows weight;
  bool transposed = false;
};

// What the first and the last kernel share: a task is some rows times the weight of one head.
class HeadKernel : public Kernel {
 public:
  HeadKernel(const ops::LatentAttention& op, const BuildContext& context)
      : op_(op), space_(op, context.program), multiply_(context.table.multiply_head) {}

  WorkSpace work_space(const StepLimits& limits) const override {
    std::int64_t columns = 0;
    for (const Head& head : heads_) columns = std::max(columns, head.weight.columns);
    return {static_cast<std::uint64_t>(space_.floats(limits.tokens)) * sizeof(float),
            static_cast<std::uint64_t>(head_panel_floats(columns)) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return space_.heads * divide_up(step.input.rows(Rows::tokens), kRowsPerTask);
  }

 protected:
  void add_head(const BuildContext& context, const ops::HeadWeight& head) {
    heads_.push_back({context.rows(head.weight), head.transposed});
  }

  ops::LatentAttention op_;
  Space space_;
  void (*multiply_)(const HeadProduct&);
  std::vector<Head> heads_;
};

// [K_h^T q, turned columns] of every head.
class AbsorbKernel final : public HeadKernel {
 public:
  AbsorbKernel(const ops::LatentAttention& op, const BuildContext& context)
      : HeadKernel(op, context) {
    for (std::int64_t h = 0; h < op.head_count; ++h) add_head(context, ops::key_weight(op, h));
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t head = task % space_.heads;
    const std::int64_t first = task / space_.heads * kRowsPerTask;
    const std::int64_t rows = std::min(kRowsPerTask, step.input.rows(Rows::tokens) - first);
    const std::int64_t size = op_.plain_size + op_.turned_size;
    const float* in = step.value(op_.query) + (first * space_.heads + head) * size;
    float* out = space_.queries(step) + (first * space_.heads + head) * space_.key_size;
    const Head& weight = heads_[static_cast<std::size_t>(head)];
    multiply_({.weight = weight.weight,
               .by_columns = !weight.transposed,
               .in = in,
               .in_stride = space_.heads * size,
               .rows = rows,
               .out = out,
               .out_stride = space_.heads * space_.key_size,
               .panel = worker_space});
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(in + r * space_.heads * size + op_.plain_size, op_.turned_size,
                  out + r * space_.heads * space_.key_size + space_.latent);
    }
  }
};

// V_h times the weighted latents of every head.
class ExpandKernel final : public HeadKernel {
 public:
  ExpandKernel(const ops::LatentAttention& op, const BuildContext& context)
      : HeadKernel(op, context) {
    for (std::int64_t h = 0; h < op.head_count; ++h) add_head(context, ops::value_weight(op, h));
  }

  void run(const StepContext& step, float* worker_space,
           std::int64_t task) const noexcept override {
    const std::int64_t head = task % space_.heads;
    const std::int64_t first = task / space_.heads * kRowsPerTask;
    multiply_({.weight = heads_[static_cast<std::size_t>(head)].weight,
               .in = space_.mixed(step) + (first * space_.heads + head) * space_.latent,
               .in_stride = space_.heads * space_.latent,
               .rows = std::min(kRowsPerTask, step.input.rows(Rows::tokens) - first),
               .out = step.value(op_.out) + (first * space_.heads + head) * op_.value_size,
               .out_stride = space_.heads * op_.value_size,
               .panel = worker_space});
  }
};

// A kernel of Attention that finds its query and output in this instruction's work space.
class InnerKernel final : public Kernel {
 public:
  InnerKernel(std::unique_ptr<const Kernel> kernel, const Space& space)
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

  std::unique_ptr<const Kernel> kernel_;
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
  return build(attention, {program, context.table, context.weights});
}

}  // namespace

Built build(const ops::LatentAttention& op, const BuildContext& context) {
  const Space space(op, context.program);
  Built inner = build_inner(op, space, context);
  if (std::holds_alternative<Unsupported>(inner)) return inner;
  Kernels kernels;
  kernels.push_back(std::make_unique<const AbsorbKernel>(op, context));
  for (auto& kernel : std::get<Kernels>(inner)) {
    kernels.push_back(std::make_unique<const InnerKernel>(std::move(kernel), space));
  }
  kernels.push_back(std::make_unique<const ExpandKernel>(op, context));
  return kernels;
}

}  // namespace ingot::cpu
